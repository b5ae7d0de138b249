import type { ProviderCommon } from "../config/nodes.ts";
import type { Capabilities, ProviderInstance } from "../providers/define.ts";
import { tableOf } from "./capabilities-table.ts";

interface CapabilitySources {
  /** What the config says, by model. */
  readonly own: ProviderCommon["capabilities"];
  readonly instance: Pick<ProviderInstance, "capabilities" | "pricedAs">;
}

function ownOf(own: CapabilitySources["own"], model: string): Capabilities {
  return { ...(Object.hasOwn(own, "*") ? own["*"] : {}), ...(Object.hasOwn(own, model) ? own[model] : {}) };
}

/** What is known of a model at boot: what the config says, else what the table says of it by name, else what its dialect is known for. */
export function capabilitiesOf(model: string, { own, instance }: CapabilitySources): Capabilities {
  return { ...instance.capabilities(model), ...tableOf(instance.pricedAs, model), ...ownOf(own, model) };
}

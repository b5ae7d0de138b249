import { GatewayError } from "../../model/errors.ts";
import type { CallMemory } from "../translate/call-memory.ts";
import type { Codec } from "../translate/leg.ts";
import type { Thought } from "../translate/reasoning.ts";
import { readWhole } from "./answer.ts";
import { refusalError } from "./errors.ts";
import { familyOf } from "./families.ts";
import { writeRequest } from "./request.ts";
import { ConverseStream } from "./stream.ts";

/** What all models of a provider share. */
export interface Wiring {
  /** The path of the base address, without a slash at its end. */
  readonly base: string;
  /** Flat. */
  readonly headers: readonly string[];
  /** Further headers of one request; absent where an API key is enough. */
  readonly sign?: (path: string, bytes: Buffer, wallMs: number) => Promise<readonly string[]>;
  readonly memory: CallMemory<readonly Thought[]>;
}

/** The Converse API for one model; `name` is `provider/model`. */
export function converseCodec(model: string, name: string, { base, headers, sign, memory }: Wiring): Codec {
  const { thoughts: format } = familyOf(model);
  const contextOf = (caller: string) => ({ upstream: name, format, memory: memory.of(caller) });
  return {
    streamType: "application/vnd.amazon.eventstream",
    async write(request, { clock, delivery, principal }) {
      // A path of dots would lead elsewhere.
      if (/^\.+$/.test(model)) throw new GatewayError("upstream_model_not_found", `${name} does not exist.`, { upstream: name });
      const { bytes, dropped } = writeRequest(request, { model, upstream: name, memory: memory.of(principal.name) });
      const path = `${base}/model/${encodeURIComponent(model)}/converse${delivery === "unary" ? "" : "-stream"}`;
      const own = sign ? await sign(path, bytes, clock.wall()) : [];
      const warnings = dropped.map((field) => `does not take "${field}"; it was left out`);
      return { path, headers: [...headers, ...own], bytes, warnings };
    },
    whole: (bytes, { principal }) => readWhole(bytes, contextOf(principal.name)),
    stream: ({ principal }) => new ConverseStream(contextOf(principal.name)),
    refusal: (refused) => refusalError(name, refused),
  };
}

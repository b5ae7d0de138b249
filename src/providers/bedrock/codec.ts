import type { Call } from "../../model/call.ts";
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
  // A model takes back no thoughts but those of its maker.
  const remembered = ({ principal }: Call) => memory.of(JSON.stringify([principal.name, format]));
  const contextOf = (call: Call) => ({ upstream: name, callId: call.identity.id, format, memory: remembered(call) });
  return {
    streamType: "application/vnd.amazon.eventstream",
    async write(request, call) {
      // A path of dots would lead elsewhere.
      if (/^\.+$/.test(model)) throw new GatewayError("upstream_model_not_found", `${name} does not exist.`, { upstream: name });
      const { bytes, warnings } = writeRequest(request, { model, upstream: name, memory: remembered(call) });
      const path = `${base}/model/${encodeURIComponent(model)}/converse${call.delivery === "unary" ? "" : "-stream"}`;
      const own = sign ? await sign(path, bytes, call.clock.wall()) : [];
      return { path, headers: [...headers, ...own], bytes, warnings };
    },
    whole: (bytes, call) => readWhole(bytes, contextOf(call)),
    stream: (call) => new ConverseStream(contextOf(call)),
    refusal: (refused) => refusalError(name, refused),
  };
}

import type { Identity } from "../../model/call.ts";
import type { Usage } from "../../model/usage.ts";
import type { Ending } from "./ending.ts";
import { messageUsage } from "./usage.ts";

export interface MessageState {
  readonly identity: Identity;
  /** The JSON of each block. */
  readonly blocks?: readonly string[];
  /** Absent while the answer is under way. */
  readonly ending?: Ending;
  readonly usage: Usage | undefined;
  /** The `chorale` field, when it was asked for. */
  readonly extension?: unknown;
}

/** What a chat does not tell of its usage, and the API's types demand. */
const unknown = { cache_creation: null, inference_geo: null, service_tier: null, speed: null };

const open = { stop_reason: null, stop_sequence: null, stop_details: null };

/** The JSON of a message. Its blocks stay as they are written: what a tool is given keeps its digits. */
export function messageJson({ identity, blocks = [], ending, usage, extension }: MessageState): string {
  const { id, model } = identity;
  const head = JSON.stringify({ id, type: "message", role: "assistant", model });
  const tail = JSON.stringify({
    ...(ending ?? open),
    container: null,
    diagnostics: null,
    usage: { ...messageUsage(usage), ...unknown },
    ...(extension === undefined ? {} : { chorale: extension }),
  });
  return `${head.slice(0, -1)},"content":[${blocks.join(",")}],${tail.slice(1)}`;
}

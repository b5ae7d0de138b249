import type { FinishReason, TokenLogprob } from "./events.ts";
import type { Usage } from "./usage.ts";

export interface ToolCall {
  readonly id: string;
  readonly type: "function" | "custom";
  readonly function?: { readonly name: string; readonly arguments: string };
  readonly custom?: { readonly name: string; readonly input: string };
  readonly [field: string]: unknown;
}

/** The assistant message in the wire's own shape, so that fields we do not know survive. */
export interface AssistantMessage {
  readonly role: "assistant";
  readonly content: string | null;
  readonly refusal?: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly [field: string]: unknown;
}

export interface Logprobs {
  readonly content: readonly TokenLogprob[] | null;
  readonly refusal: readonly TokenLogprob[] | null;
}

export interface Choice {
  readonly index: number;
  readonly message: AssistantMessage;
  readonly finishReason: FinishReason;
  readonly logprobs?: Logprobs | null;
  /** Fields beside the standard ones. Carried, never read. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** A whole answer. */
export interface Completion {
  readonly id?: string;
  readonly model?: string;
  readonly created?: number;
  /** Parsed when somebody looks, once. */
  readonly choices: readonly Choice[];
  readonly usage?: Usage;
  /** Top-level fields beside the standard ones (`system_fingerprint`, `service_tier`, `timings`). */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** The upstream's own canonical bytes, while nobody changed anything. Its `id`, `model`, `created` are still the upstream's. */
  readonly bytes?: Buffer;
  /** The latin1 reading of `bytes`, where somebody has made it already. */
  readonly latin1?: string;
  /** Each choice as its server wrote it, latin1, behind its start `{"index":0`; only where that is known without reading. */
  readonly unread?: readonly string[] | undefined;
}

/** The text of the first choice; empty when it has none. */
export function textOf(completion: Completion): string {
  return completion.choices[0]?.message.content ?? "";
}

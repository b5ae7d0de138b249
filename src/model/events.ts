import type { Completion } from "./completion.ts";
import type { Usage } from "./usage.ts";

/** What a scan of a batch found. Bits, so that a test costs nothing on the path of a chunk. */
export const Flag = {
  text: 1,
  reasoning: 2,
  refusal: 4,
  tool: 8,
  logprobs: 16,
  role: 32,
  /** At least one choice ended. */
  end: 64,
  /** Audio, annotations and whatever else a delta may carry. */
  other: 128,
} as const;

/** A batch with any of these bits commits its stream (law 3): the client has seen something that cannot be taken back. */
export const CONTENT = Flag.text | Flag.reasoning | Flag.refusal | Flag.tool | Flag.other;

export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call";

/** Log-probability of one token as the OpenAI API writes it; `bytes` are the token's UTF-8 bytes. */
export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes?: readonly number[] | null;
  readonly top_logprobs?: readonly {
    readonly token: string;
    readonly logprob: number;
    readonly bytes?: readonly number[] | null;
  }[];
}

/** One change of one choice. `choice` is the index in the OpenAI sense. */
export type Delta =
  | { readonly type: "text"; readonly choice: number; readonly text: string }
  | { readonly type: "reasoning"; readonly choice: number; readonly text: string }
  | { readonly type: "refusal"; readonly choice: number; readonly text: string }
  | {
      readonly type: "tool-call";
      readonly choice: number;
      readonly index: number;
      /** Present exactly on the first fragment of a call. */
      readonly id?: string;
      readonly name?: string;
      readonly custom?: boolean;
      readonly text: string;
      /** Fields beside `function`, such as a provider's signature. Carried, never read. */
      readonly extra?: Readonly<Record<string, unknown>>;
    }
  | {
      readonly type: "logprobs";
      readonly choice: number;
      readonly content: readonly TokenLogprob[];
      readonly refusal: readonly TokenLogprob[];
    }
  /** Delta fields that we do not model (audio, annotations, vendor fields). Carried, never read. */
  | {
      readonly type: "extra";
      readonly choice: number;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  | {
      readonly type: "end";
      readonly choice: number;
      readonly reason: FinishReason;
      /** Choice fields beside the standard ones, such as `stop_reason`. */
      readonly extra?: Readonly<Record<string, unknown>>;
    };

/** Identity of an answer as the upstream gave it. It does not commit. */
export interface StartEvent {
  readonly type: "start";
  readonly id?: string;
  readonly model?: string;
  readonly created?: number;
}

/** What a leaf read at once, or what a strategy made. */
export interface BatchEvent {
  readonly type: "batch";
  /**
   * Canonical SSE events ready for the client, with `id`, `model` and `created` of `call.identity` spliced in. One character is one byte
   * (latin1): a scan needs no decoding, and a write no encoding. Absent in batches that a strategy made.
   */
  readonly bytes?: string;
  /** Bits of `Flag`. */
  readonly flags: number;
  /** Parsed when somebody looks, once. */
  readonly deltas: readonly Delta[];
}

/** The end, once, last, after every choice has ended. */
export interface FinishEvent {
  readonly type: "finish";
  readonly usage?: Usage;
  /** The whole answer, when it was not streamed. */
  readonly completion?: Completion;
  /** Share of the weight behind this answer, 0 to 1; set by votes, read by cascades. Votes that were not waited for count as against it. */
  readonly agreement?: number;
  /** What the share may have come to with the votes that were not waited for. */
  readonly agreementAtMost?: number;
  /** The upstream's own usage chunk, spliced like a batch, for when its usage is the whole truth. */
  readonly bytes?: string;
}

export type ModelEvent = StartEvent | BatchEvent | FinishEvent;

const flagOf: Record<Delta["type"], number> = {
  text: Flag.text,
  reasoning: Flag.reasoning,
  refusal: Flag.refusal,
  "tool-call": Flag.tool,
  logprobs: Flag.logprobs,
  extra: Flag.other,
  end: Flag.end,
};

/** A batch without bytes: the text that a strategy made itself. */
export function batch(deltas: readonly Delta[]): BatchEvent {
  let flags = 0;
  for (const delta of deltas) flags |= flagOf[delta.type];
  return { type: "batch", flags, deltas };
}

import type { Call } from "../../model/call.ts";
import { deltasOf } from "../../model/choice-deltas.ts";
import { Collector } from "../../model/collect.ts";
import type { Choice, Completion } from "../../model/completion.ts";
import { batch, type FinishEvent, type ModelEvent } from "../../model/events.ts";
import type { ChatBody } from "../../model/request.ts";
import { agreed } from "../flush.ts";
import type { Usage } from "../../model/usage.ts";

/** Of what is stored; anything else is as good as absent. */
const VERSION = 1;

/** A kept answer. */
export interface CacheEntry {
  readonly version: typeof VERSION;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** How long it took to get. */
  readonly ms: number;
  readonly choices: readonly Choice[];
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly agreement?: number;
  readonly agreementAtMost?: number;
  /** What it cost whoever asked first. */
  readonly usage?: Usage;
}

/** Why a choice is not to be given to anybody else; `bounded` when the client itself set how long it may be. */
function unfitChoice({ finishReason, message }: Choice, bounded: boolean): string | undefined {
  if (finishReason === "content_filter" || message.refusal) return "it is a refusal";
  if (finishReason === "length" && !bounded) return "it was cut";
  return message.content || message.tool_calls?.length || message["audio"] ? undefined : "it is empty";
}

/** Why an answer is not kept. A cut at the client's own limit is what it asked for. */
export function unfit({ choices }: Completion, body: ChatBody): string | undefined {
  const bounded = typeof (body.max_completion_tokens ?? body.max_tokens) === "number";
  for (const choice of choices) {
    const why = unfitChoice(choice, bounded);
    if (why !== undefined) return why;
  }
  return choices.length === 0 ? "it is empty" : undefined;
}

/** Makes an entry. Fields are named, because they may be getters. */
export function newEntry(completion: Completion, finish: FinishEvent, times: { readonly at: number; readonly ms: number }): CacheEntry {
  const { choices, extra } = completion;
  const usage = finish.usage ?? completion.usage;
  return {
    version: VERSION,
    ...times,
    choices,
    ...(extra ? { extra } : {}),
    ...(finish.agreement === undefined ? {} : { agreement: finish.agreement }),
    ...(finish.agreementAtMost === undefined ? {} : { agreementAtMost: finish.agreementAtMost }),
    ...(usage ? { usage } : {}),
  };
}

/** Reads a stored value; undefined when it is of another version, or broken. */
export function readEntry(value: string): CacheEntry | undefined {
  let entry: Partial<CacheEntry> | null;
  try {
    entry = JSON.parse(value) as Partial<CacheEntry> | null;
  } catch {
    return undefined;
  }
  return entry?.version === VERSION && Array.isArray(entry.choices) ? (entry as CacheEntry) : undefined;
}

/** An answer that nobody had to make: the one who gets it pays for no token. */
const FREE: Usage = { promptTokens: 0, completionTokens: 0 };

/** Gives out a kept answer in one go. */
export function* replay({ choices, extra, agreement, agreementAtMost: atMost }: CacheEntry, call: Call): Generator<ModelEvent> {
  const told = { usage: FREE, ...(agreement === undefined ? {} : agreed({ agreement, atMost })) };
  if (call.delivery === "stream") {
    yield batch(choices.flatMap((choice, index) => deltasOf(choice, index)));
    yield { type: "finish", ...told };
  } else yield { type: "finish", completion: { choices, usage: FREE, ...(extra ? { extra } : {}) }, ...told };
}

/** Listens to an answer on its way to the client, as long as it may be kept. */
export class Recorder {
  readonly #maxBytes: number;
  #collector: Collector | undefined = new Collector();
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(event: ModelEvent): void {
    if (event.type === "batch") for (const delta of event.deltas) this.#length += "text" in delta ? delta.text.length : 1;
    if (this.#length > this.#maxBytes) this.#collector = undefined;
    this.#collector?.add(event);
  }

  /** The whole answer, after its finish; undefined when it was too long. */
  completion(): Completion | undefined {
    return this.#collector?.completion();
  }
}

import type { Signal } from "../../src/model/abort.ts";
import type { Call } from "../../src/model/call.ts";
import { sleep } from "../../src/model/clock.ts";
import { collect, newFold } from "../../src/model/collect.ts";
import { type GatewayError, throwIfAborted } from "../../src/model/errors.ts";
import { batch, Flag, type BatchEvent, type Delta, type FinishReason, type ModelEvent, type TokenLogprob } from "../../src/model/events.ts";
import type { Model } from "../../src/model/model.ts";
import type { ChatRequest } from "../../src/model/request.ts";
import type { Usage } from "../../src/model/usage.ts";
import { fitting } from "./fitting.ts";

/** One thing that a scripted model does. */
export type Move =
  /** Text; with log-probabilities when the request asks for them, one token each. */
  | { readonly text: string; readonly logprobs?: readonly number[] }
  /** What is asked for: JSON that fits the request's schema where it has one, else a plain sentence; another number is another answer. */
  | { readonly fits: number }
  | { readonly reasoning: string }
  | { readonly refusal: string }
  /** A whole tool call; left out when the request offers no tools. */
  | { readonly tool: { readonly id: string; readonly name: string; readonly arguments: string } }
  | { readonly waitMs: number }
  | { readonly fail: GatewayError }
  /** A batch that does not commit. */
  | "role"
  /** Silence until the call is aborted. */
  | "stall"
  /** The stream ends here, without a finish: what no model may do. */
  | "cut";

export interface Script {
  readonly moves: readonly Move[];
  readonly end?: FinishReason;
  readonly agreement?: number;
  readonly usage?: Usage;
  /** How long after the end of its choices the finish comes. */
  readonly finishAfterMs?: number;
}

/** A script that answers with these texts, a batch each. */
export function says(...texts: readonly string[]): Script {
  return { moves: texts.map((text) => ({ text })) };
}

/** A script that fails before it has shown anything. */
export function fails(error: GatewayError): Script {
  return { moves: [{ fail: error }] };
}

function tokens(logprobs: readonly number[]): readonly TokenLogprob[] {
  return logprobs.map((logprob) => ({ token: "t", logprob, bytes: [116], top_logprobs: [] }));
}

function choicesOf({ body }: ChatRequest): readonly number[] {
  return Array.from({ length: typeof body.n === "number" ? body.n : 1 }, (_, choice) => choice);
}

function fittingText(pick: number, { body }: ChatRequest): string {
  const format = body.response_format as { readonly json_schema?: { readonly schema?: unknown }; readonly type?: string } | undefined;
  if (format?.type === "json_object") return JSON.stringify({ answer: pick });
  const schema = format?.json_schema?.schema;
  return schema === undefined ? `Yes: yes, the answer is ${pick}.` : JSON.stringify(fitting(schema, pick));
}

function deltasOf(move: Move, choice: number, request: ChatRequest): readonly Delta[] {
  if (typeof move === "string") return [];
  if ("text" in move) {
    const text: Delta = { type: "text", choice, text: move.text };
    if (!move.logprobs || request.body.logprobs !== true) return [text];
    return [text, { type: "logprobs", choice, content: tokens(move.logprobs), refusal: [] }];
  }
  if ("fits" in move) return [{ type: "text", choice, text: fittingText(move.fits, request) }];
  if ("reasoning" in move) return [{ type: "reasoning", choice, text: move.reasoning }];
  if ("refusal" in move) return [{ type: "refusal", choice, text: move.refusal }];
  if ("tool" in move && request.body.tools?.length) {
    const { id, name, arguments: text } = move.tool;
    return [
      {
        type: "tool-call",
        choice,
        index: Number.parseInt(id.replaceAll(/\D/g, "") || "0", 10),
        id,
        name,
        text,
      },
    ];
  }
  return [];
}

const role: BatchEvent = { type: "batch", flags: Flag.role, deltas: [] };

/**
 * A model that follows a script and tells what became of it. Call after call takes the next script; the last one stays. It keeps the laws
 * (but for `cut`), so what goes wrong above it is not its fault.
 */
export class FakeModel implements Model {
  readonly name: string;
  /** What it was asked, call by call. */
  readonly requests: ChatRequest[] = [];
  readonly calls: Call[] = [];
  /** Streams under way. */
  open = 0;
  /** Streams that were told their end by somebody else: aborted, or left by their consumer. */
  cancelled = 0;
  /** Batches that were read from streams in `stream` delivery. */
  streamed = 0;
  readonly #scripts: readonly Script[];

  constructor(name: string, ...scripts: readonly Script[]) {
    this.name = name;
    this.#scripts = scripts.length > 0 ? scripts : [says("Hello")];
  }

  async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    const script = this.#scripts[Math.min(this.calls.length, this.#scripts.length - 1)] ?? says();
    this.requests.push(request);
    this.calls.push(call);
    this.open += 1;
    let ended = false;
    try {
      throwIfAborted(call.signal);
      for await (const event of call.delivery === "stream" ? this.#shown(script, request, call) : whole(script, request, call)) {
        if (event.type === "finish") ended = true;
        yield event;
      }
      ended = true;
    } catch (thrown) {
      ended = !call.signal.aborted;
      throw thrown;
    } finally {
      this.open -= 1;
      if (!ended) this.cancelled += 1;
    }
  }

  async *#shown(script: Script, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    yield { type: "start", id: `upstream-${this.calls.length}`, model: this.name, created: 1 };
    for await (const event of played(script, request, call)) {
      if (event.type === "batch") this.streamed += 1;
      yield event;
    }
  }
}

async function* whole(script: Script, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const completion = await collect(played(script, request, call));
  const { usage, agreement } = script;
  yield {
    type: "finish",
    completion,
    ...(usage ? { usage } : {}),
    ...(agreement === undefined ? {} : { agreement }),
  };
}

async function* played(
  { moves, end, usage, agreement, finishAfterMs }: Script,
  request: ChatRequest,
  call: Call,
): AsyncGenerator<ModelEvent> {
  const choices = choicesOf(request);
  for (const move of moves) {
    if (move === "cut") return;
    if (move === "role") yield role;
    else if (move === "stall") await silence(call.signal);
    else if ("fail" in move) throw move.fail;
    else if ("waitMs" in move) await sleep(call.clock, move.waitMs, call.signal);
    else {
      const deltas = choices.flatMap((choice) => deltasOf(move, choice, request));
      if (deltas.length > 0) yield batch(deltas);
    }
    throwIfAborted(call.signal);
  }
  yield batch(choices.map((choice) => ({ type: "end", choice, reason: end ?? "stop" })));
  if (finishAfterMs !== undefined) await sleep(call.clock, finishAfterMs, call.signal);
  throwIfAborted(call.signal);
  yield {
    type: "finish",
    ...(usage ? { usage } : {}),
    ...(agreement === undefined ? {} : { agreement }),
  };
}

function silence(signal: Signal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** The text of the first choice in what a model gave out, streamed or whole. */
export function textIn(events: readonly ModelEvent[]): string {
  const fold = newFold();
  for (const event of events) {
    if (event.type === "finish" && event.completion) return event.completion.choices[0]?.message.content ?? "";
    if (event.type === "batch") for (const delta of event.deltas) if (delta.choice === 0 && delta.type === "text") fold.add(delta);
  }
  return fold.text();
}

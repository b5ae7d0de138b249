import type { AssistantMessage, Choice, Completion, Logprobs, ToolCall } from "./completion.ts";
import { GatewayError } from "./errors.ts";
import type { Delta, FinishEvent, FinishReason, ModelEvent, TokenLogprob } from "./events.ts";

interface PartialCall {
  id: string;
  name: string;
  custom: boolean;
  text: string[];
  extra: Readonly<Record<string, unknown>>;
}

interface PartialChoice {
  text: string[];
  reasoning: string[];
  refusal: string[];
  calls: Map<number, PartialCall>;
  content: TokenLogprob[];
  refusalLogprobs: TokenLogprob[];
  hasLogprobs: boolean;
  fields: Record<string, unknown>;
  end?: { readonly reason: FinishReason; readonly extra?: Readonly<Record<string, unknown>> };
}

function emptyChoice(): PartialChoice {
  return {
    text: [],
    reasoning: [],
    refusal: [],
    calls: new Map(),
    content: [],
    refusalLogprobs: [],
    hasLogprobs: false,
    fields: {},
  };
}

function addCall(choice: PartialChoice, delta: Delta & { readonly type: "tool-call" }): void {
  const known = choice.calls.get(delta.index);
  if (known) {
    known.text.push(delta.text);
    return;
  }
  const { id = "", name = "", custom = false, text, extra = {} } = delta;
  choice.calls.set(delta.index, { id, name, custom, text: [text], extra });
}

/** The deprecated `function_call` comes in fragments too, and lists go on; of all other fields the last counts. */
function addFields({ fields }: PartialChoice, { function_call: call, ...others }: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(others)) {
    const before = Object.hasOwn(fields, key) ? fields[key] : undefined;
    const goesOn = Array.isArray(before) && Array.isArray(value);
    fields[key] = goesOn ? [...(before as readonly unknown[]), ...(value as readonly unknown[])] : value;
  }
  if (typeof call !== "object" || call === null) return;
  const known = (fields["function_call"] ?? {}) as { readonly arguments?: string };
  const more = call as { readonly arguments?: string };
  fields["function_call"] = { ...known, ...more, arguments: (known.arguments ?? "") + (more.arguments ?? "") };
}

function addDelta(choice: PartialChoice, delta: Delta): void {
  switch (delta.type) {
    case "text":
    case "reasoning":
    case "refusal":
      choice[delta.type].push(delta.text);
      return;
    case "tool-call":
      addCall(choice, delta);
      return;
    case "logprobs":
      choice.hasLogprobs = true;
      choice.content.push(...delta.content);
      choice.refusalLogprobs.push(...delta.refusal);
      return;
    case "extra":
      addFields(choice, delta.fields);
      return;
    case "end":
      choice.end = delta;
  }
}

function toToolCall(call: PartialCall): ToolCall {
  const text = call.text.join("");
  const { id, name, extra } = call;
  if (call.custom) return { ...extra, id, type: "custom", custom: { name, input: text } };
  return { ...extra, id, type: "function", function: { name, arguments: text } };
}

function toMessage(choice: PartialChoice): AssistantMessage {
  const text = choice.text.join("");
  const reasoning = choice.reasoning.join("");
  const refusal = choice.refusal.join("");
  const calls = [...choice.calls].sort(([a], [b]) => a - b).map(([, call]) => toToolCall(call));
  return {
    ...choice.fields,
    role: "assistant",
    content: text === "" && (calls.length > 0 || refusal !== "" || choice.fields["function_call"] !== undefined) ? null : text,
    refusal: refusal === "" ? null : refusal,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function toChoice(index: number, choice: PartialChoice): Choice {
  if (!choice.end) throw new GatewayError("upstream_protocol", `Choice ${index} ended without a finish reason.`);
  const logprobs: Logprobs | null = choice.hasLogprobs
    ? {
        content: choice.content,
        refusal: choice.refusalLogprobs.length > 0 ? choice.refusalLogprobs : null,
      }
    : null;
  const { reason, extra } = choice.end;
  return {
    index,
    message: toMessage(choice),
    finishReason: reason,
    logprobs,
    ...(extra ? { extra } : {}),
  };
}

/** Folds the deltas of a streamed answer; feed it batches, then ask for the choices. Text is joined once, so a long answer costs no more. */
export function newFold(): {
  add(delta: Delta): void;
  choices(): readonly Choice[];
  text(): string;
} {
  const partial = new Map<number, PartialChoice>();
  return {
    add(delta) {
      let choice = partial.get(delta.choice);
      if (!choice) {
        choice = emptyChoice();
        partial.set(delta.choice, choice);
      }
      addDelta(choice, delta);
    },
    choices: () => [...partial].sort(([a], [b]) => a - b).map(([index, choice]) => toChoice(index, choice)),
    text: () => [...partial.values()].map((choice) => choice.text.join("") + choice.reasoning.join("")).join(""),
  };
}

/** Folds events as they come. Ask for the completion after the `finish`; a choice without an end is an error then. */
export class Collector {
  #fold: ReturnType<typeof newFold> | undefined;
  #identity: { id?: string; model?: string; created?: number } = {};
  #finish: FinishEvent | undefined;

  get finish(): FinishEvent | undefined {
    return this.#finish;
  }

  add(event: ModelEvent): void {
    if (event.type === "finish") this.#finish = event;
    else if (event.type === "batch") {
      this.#fold ??= newFold();
      for (const delta of event.deltas) this.#fold.add(delta);
    } else {
      const { type: _, ...identity } = event;
      this.#identity = identity;
    }
  }

  completion(): Completion {
    const finish = this.#finish;
    if (!finish) throw new GatewayError("upstream_protocol", "The stream ended without finishing its answer.");
    if (finish.completion) return finish.completion;
    const choices = this.#fold?.choices() ?? [];
    if (choices.length === 0) throw new GatewayError("upstream_protocol", "The answer has no choices.");
    return { ...this.#identity, choices, ...(finish.usage ? { usage: finish.usage } : {}) };
  }
}

/** Folds a whole stream into a Completion. Throws what the stream throws, and when it ends without `finish`. */
export async function collect(events: AsyncIterable<ModelEvent>): Promise<Completion> {
  const collector = new Collector();
  for await (const event of events) collector.add(event);
  return collector.completion();
}

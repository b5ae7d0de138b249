import { enter, type Call } from "../../../model/call.ts";
import { deltasOf } from "../../../model/choice-deltas.ts";
import { complete } from "../../../model/complete.ts";
import type { Choice } from "../../../model/completion.ts";
import { GatewayError, throwIfAborted } from "../../../model/errors.ts";
import { batch, type Delta, type ModelEvent } from "../../../model/events.ts";
import type { Model } from "../../../model/model.ts";
import type { ChatRequest } from "../../../model/request.ts";
import { openScope } from "../../../model/scope.ts";

/** Prompts of one request under way together: each may be a whole panel. */
const AT_ONCE = 8;

interface Prompts {
  readonly chats: readonly ChatRequest[];
  /** Answers to each. */
  readonly n: number;
}

function moved(delta: Delta, by: number): Delta {
  return by === 0 ? delta : { ...delta, choice: delta.choice + by };
}

/** The answers to one prompt after another, as choices one after another. */
async function* inTurn(inner: Model, { chats, n }: Prompts, call: Call): AsyncGenerator<ModelEvent> {
  for (const [at, chat] of chats.entries()) {
    const child = enter(call, { label: `prompt ${at + 1}`, member: true });
    for await (const event of inner.stream(chat, child)) {
      if (event.type === "batch") yield batch(event.deltas.map((delta) => moved(delta, at * n)));
      else if (event.type === "finish") {
        const deltas = event.completion?.choices.flatMap((choice) => deltasOf(choice, choice.index + at * n));
        if (deltas) yield batch(deltas);
      }
    }
  }
  yield { type: "finish" };
}

/** All answers, when they are there. The first failure ends the others. */
async function* together(inner: Model, { chats, n }: Prompts, call: Call): AsyncGenerator<ModelEvent> {
  using scope = openScope(call.signal);
  const choices: Choice[] = [];
  let failure: GatewayError | undefined;
  const waiting = chats.entries();
  const work = async () => {
    for (const [at, chat] of waiting) {
      if (failure) return;
      const result = await complete(inner, chat, enter(call, { label: `prompt ${at + 1}`, member: true, signal: scope.signal }));
      if (result.ok) choices.push(...result.completion.choices.map((choice) => ({ ...choice, index: choice.index + at * n })));
      else {
        failure ??= result.error;
        scope.abort(new GatewayError("cancelled", "No longer needed: another prompt of the request has failed."));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  throwIfAborted(call.signal);
  if (failure) throw failure;
  yield { type: "finish", completion: { choices: choices.sort((a, b) => a.index - b.index) } };
}

/** A model that answers several prompts, each with an attempt budget of its own. A stream gives them one after another. */
export function eachPrompt(inner: Model, prompts: Prompts): Model {
  return {
    name: inner.name,
    async *stream(_, call): AsyncGenerator<ModelEvent> {
      const { span, clock } = call;
      Object.assign(span, { node: inner.name, kind: "prompts", status: "failed" });
      try {
        yield* call.delivery === "stream" ? inTurn(inner, prompts, call) : together(inner, prompts, call);
        span.status = "ok";
      } finally {
        span.endMs = clock.now();
      }
    },
  };
}

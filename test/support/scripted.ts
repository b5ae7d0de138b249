import type { Call } from "../../src/model/call.ts";
import { GatewayError } from "../../src/model/errors.ts";
import type { ModelEvent } from "../../src/model/events.ts";
import type { Model } from "../../src/model/model.ts";
import type { ChatBody, ChatRequest } from "../../src/model/request.ts";
import type { Node, Strategy } from "../../src/strategies/define.ts";
import { buildNode } from "./build.ts";
import { newCall, newRequest } from "./call.ts";
import { manualClock } from "./clock.ts";
import { FakeModel, says, textIn, type Script } from "./fake-model.ts";

/** What a model does: a script, one for each call, or a function of what it is asked. */
export type Part = Script | readonly Script[] | ((asked: string, request: ChatRequest) => string | Script);

/** A model as a test looks at it: every request that it got, with the last message of each. */
export interface Seen {
  readonly requests: readonly ChatRequest[];
  readonly calls: readonly Call[];
  readonly asked: readonly string[];
  readonly open: number;
  readonly cancelled: number;
}

class Scripted implements Model, Seen {
  readonly name: string;
  readonly #part: Part;
  readonly #fakes: FakeModel[] = [];

  constructor(name: string, part: Part) {
    this.name = name;
    this.#part = part;
  }

  /** Takes its room in the budget, as a leaf does. */
  async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    call.budget.reserve({ usd: 0, tokens: 0 });
    const fake = new FakeModel(this.name, this.#next(request));
    this.#fakes.push(fake);
    yield* fake.stream(request, call);
  }

  #next(request: ChatRequest): Script {
    const part = this.#part;
    if (typeof part === "function") {
      const made = part(lastOf(request), request);
      return typeof made === "string" ? says(made) : made;
    }
    if ("moves" in part) return part;
    return part[Math.min(this.#fakes.length, part.length - 1)] ?? says("");
  }

  get requests(): readonly ChatRequest[] {
    return this.#fakes.flatMap((fake) => fake.requests);
  }

  get calls(): readonly Call[] {
    return this.#fakes.flatMap((fake) => fake.calls);
  }

  get asked(): readonly string[] {
    return this.requests.map(lastOf);
  }

  get open(): number {
    return this.#fakes.reduce((sum, fake) => sum + fake.open, 0);
  }

  get cancelled(): number {
    return this.#fakes.reduce((sum, fake) => sum + fake.cancelled, 0);
  }
}

function lastOf({ body }: ChatRequest): string {
  return String(body.messages.at(-1)?.content);
}

/** Builds nodes of these kinds over models that play their parts, and runs them on a clock of their own. */
export function scripted(...kinds: readonly Strategy[]) {
  const strategies = new Map(kinds.map((strategy) => [strategy.kind, strategy]));

  function build(node: Node, parts: Readonly<Record<string, Part>>) {
    const models = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, new Scripted(name, part)]));
    const leaf = (name: string): Model => {
      const model = models[name];
      if (!model) throw new Error(`no model ${name}`);
      return model;
    };
    const seen = (name: string): Seen => leaf(name) as Scripted;
    return { model: buildNode(node, leaf, strategies), seen };
  }

  async function run(node: Node, parts: Readonly<Record<string, Part>>, body: Partial<ChatBody> = {}, given: Partial<Call> = {}) {
    const { model, seen } = build(node, parts);
    const clock = manualClock();
    let drawn = 0;
    const random = () => {
      drawn += 1;
      return (drawn * 0.381) % 1;
    };
    const call = newCall({ clock, random, ...given });
    const events: ModelEvent[] = [];
    const reading = async () => {
      for await (const event of model.stream(newRequest(body), call)) events.push(event);
    };
    const error = await clock.drive(
      reading().then(
        () => undefined,
        (thrown: unknown) => thrown,
      ),
    );
    if (error !== undefined && !(error instanceof GatewayError)) throw error;
    const { decision = {}, children } = call.span;
    return {
      text: textIn(events),
      events,
      error,
      decision,
      degraded: call.trace.degraded,
      labels: children.map(({ label }) => label),
      seen,
    };
  }

  return { build, run, strategies };
}

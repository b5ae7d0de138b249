import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { openBudget, unbounded } from "../../../src/model/budget.ts";
import type { Call } from "../../../src/model/call.ts";
import { type ErrorCode, GatewayError } from "../../../src/model/errors.ts";
import { Flag, type ModelEvent } from "../../../src/model/events.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import { newRetryBudget, newSlot } from "../../../src/model/slot.ts";
import type { Node } from "../../../src/strategies/define.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock } from "../../support/clock.ts";
import { FakeModel, fails, says, type Script, textIn } from "../../support/fake-model.ts";
import { read, type Reading } from "../../support/read.ts";

function failure(code: ErrorCode = "upstream_error"): GatewayError {
  return new GatewayError(code, "It failed.", { upstream: "a" });
}

/** A text in chunks of a token each, with a log-probability each. */
function sure(text: string, ...logprobs: readonly number[]): Script {
  return {
    moves: text.split("").map((character, index) => ({
      text: character,
      logprobs: [logprobs[index] ?? logprobs.at(-1) ?? 0],
    })),
  };
}

type Accept = Readonly<Record<string, unknown>>;

/** A cascade over scripted models: one step a model, each with its gate but the last. */
class Run {
  readonly clock: ManualClock = manualClock();
  readonly call: Call;
  readonly models: readonly FakeModel[];
  readonly #node: Exclude<Node, string>;

  constructor(scripts: readonly Script[], gates: readonly Accept[], given: Partial<Call> = {}, options: object = {}) {
    this.models = scripts.map((script, index) => new FakeModel("abcdef".charAt(index), script));
    this.call = newCall({ clock: this.clock, ...given });
    this.#node = {
      kind: "cascade",
      steps: this.models.map(({ name }, index) => ({
        model: name,
        ...(gates[index] ? { accept: gates[index] } : {}),
      })),
      ...options,
    };
  }

  stream(fields: Partial<ChatBody> = {}): AsyncIterable<ModelEvent> {
    const leaf = (name: string) => this.models.find((model) => model.name === name) ?? new FakeModel(name, says(`I am ${name}.`));
    return buildNode(this.#node, leaf, strategies).stream(newRequest(fields), this.call);
  }

  read(fields?: Partial<ChatBody>): Promise<Reading> {
    return this.clock.drive(read(this.stream(fields)));
  }

  async text(fields?: Partial<ChatBody>): Promise<string> {
    const { events, error } = await this.read(fields);
    return error ? error.code : textIn(events);
  }

  get asked(): string {
    return this.models
      .filter(({ calls }) => calls.length > 0)
      .map(({ name }) => name)
      .join("");
  }
}

const prefix = (min: number, tokens = 4): Accept => ({ by: "prefixLogprob", tokens, min });
const logprob = (min: number, measure?: string): Accept => ({
  by: "logprob",
  min,
  ...(measure ? { measure } : {}),
});
const shape: Accept = { by: "schema" };

describe("a prefix gate", () => {
  test("releases what it held and streams on when the beginning is sure", async () => {
    const run = new Run([sure("Hello, world", -0.1), says("no")], [prefix(-0.35)]);
    const iterator = run.stream()[Symbol.asyncIterator]();
    await iterator.next();
    expect(run.models[0]?.streamed).toBe(4);
    await iterator.return?.();
    expect(await new Run([sure("Hello, world", -0.1), says("no")], [prefix(-0.35)]).text()).toBe("Hello, world");
    expect(run.asked).toBe("a");
  });

  test("ends the stream and goes on when the beginning is unsure", async () => {
    const run = new Run([sure("Hello, world", -1), says("Good day")], [prefix(-0.35)]);
    expect(await run.text()).toBe("Good day");
    expect(run.models[0]).toMatchObject({ streamed: 4, open: 0, cancelled: 1 });
  });

  test("measures the mean of the first tokens, and no others", async () => {
    const run = new Run([sure("abcdef", -0.2, -0.4, -0.6, -0.8, -9), says("no")], [prefix(-0.5000001)]);
    expect(await run.text()).toBe("abcdef");
    const [step] = (run.call.span.decision as { steps: { measured: number }[] }).steps;
    expect(step).toMatchObject({
      step: "step 1",
      outcome: "accepted",
      by: "prefixLogprob",
      threshold: -0.5000001,
    });
    expect(step?.measured).toBeCloseTo(-0.5, 9);
  });

  test("takes no more of a batch than it has tokens to measure", async () => {
    const batched: Script = { moves: [{ text: "a b c d e", logprobs: [-0.1, -0.1, -9, -9, -9] }] };
    expect(await new Run([batched, says("no")], [prefix(-0.2, 2)]).text()).toBe("a b c d e");
  });

  test("counts tokens, however long they are", async () => {
    const words: Script = {
      moves: ["Extraordinarily ", "complicated ", "circumstances ", "notwithstanding"].map((text, index) => ({
        text,
        logprobs: [index === 3 ? -9 : -0.1],
      })),
    };
    expect(await new Run([words, says("Good day")], [prefix(-0.35)]).text()).toBe("Good day");
  });

  test("judges an answer that is shorter by all of its tokens, before its usage has come", async () => {
    const run = new Run([{ ...sure("Hi", -0.1), finishAfterMs: 900 }, says("no")], [prefix(-0.35, 48)]);
    const iterator = run.stream()[Symbol.asyncIterator]();
    await iterator.next();
    expect([run.models[0]?.streamed, run.clock.now()]).toEqual([3, 0]);
    await iterator.return?.();
  });

  test("does not hold an answer without log-probabilities to its end, and does not accept it", async () => {
    const run = new Run([says(..."This is a long answer, and nothing tells how sure it is.".split("")), says("Good day")], [prefix(-0.35)]);
    expect(await run.text()).toBe("Good day");
    expect(run.models[0]).toMatchObject({ streamed: 16, cancelled: 1 });
    expect(run.call.trace.warnings).toEqual(['smart: step 1 came without what "prefixLogprob" measures, so it was not accepted']);
  });

  test("asks nobody else once it has released", async () => {
    const cut: Script = { moves: [...sure("Hello", -0.1).moves, { fail: failure() }] };
    const run = new Run([cut, says("no")], [prefix(-0.35)]);
    const { events, error } = await run.read();
    expect([textIn(events), error?.code, run.asked]).toEqual(["Hello", "upstream_error", "a"]);
  });

  test("goes on when the beginning fails", async () => {
    const cut: Script = { moves: [...sure("He", -0.1).moves, { fail: failure() }] };
    expect(await new Run([cut, says("Good day")], [prefix(-0.35)]).text()).toBe("Good day");
  });

  test("of several choices judges the first", async () => {
    const run = new Run([sure("Hello", -0.1), says("no")], [prefix(-0.35)]);
    const { events } = await run.read({ n: 2 });
    const ends = events.flatMap((event) => (event.type === "batch" ? event.deltas : [])).filter(({ type }) => type === "end");
    expect(ends.map(({ choice }) => choice)).toEqual([0, 1]);
    expect(textIn(events)).toBe("Hello");
  });

  test.for(["unary", "metered"] as const)("judges a whole answer by its first tokens (%s)", async (delivery) => {
    const run = new Run([sure("abcdef", -0.1, -0.1, -0.1, -0.1, -9), says("no")], [prefix(-0.35)], { delivery });
    expect(await run.text()).toBe("abcdef");
    expect(run.models[0]?.calls[0]?.delivery).toBe(delivery);
  });
});

describe("log-probabilities", () => {
  const gates = [prefix(-0.35), logprob(-0.35)];

  test.for(gates)("are asked for where $by measures them, and not of the last step", async (gate) => {
    const run = new Run([sure("Hello", -1), says("Good day")], [gate]);
    await run.read();
    expect(run.models.map(({ requests }) => requests[0]?.body.logprobs)).toEqual([true, undefined]);
    expect(run.models[0]?.requests[0]?.edits).toEqual({ logprobs: true });
  });

  test("are not asked for where nothing measures them", async () => {
    const run = new Run([says("Hello"), says("no")], [shape]);
    await run.read();
    expect(run.models[0]?.requests[0]?.edits).toEqual({});
  });

  test.for(gates)("do not leave when the client did not ask ($by)", async (gate) => {
    for (const delivery of ["stream", "unary"] as const) {
      const { events } = await new Run([sure("Hello", -0.1), says("no")], [gate], {
        delivery,
      }).read();
      expect(textIn(events)).toBe("Hello");
      expect(events.filter((event) => event.type === "batch" && (event.flags & Flag.logprobs) !== 0)).toEqual([]);
      expect(events.map((event) => event.type === "finish" && event.completion?.choices[0]?.logprobs).filter(Boolean)).toEqual([]);
    }
  });

  test.for(gates)("leave when the client asked ($by)", async (gate) => {
    const { events } = await new Run([sure("Hello", -0.1), says("no")], [gate]).read({
      logprobs: true,
    });
    const told = events
      .flatMap((event) => (event.type === "batch" ? event.deltas : []))
      .flatMap((delta) => (delta.type === "logprobs" ? delta.content : []));
    expect(told.length).toBe(5);
  });

  test.for<ErrorCode>(["upstream_invalid", "unsupported_parameter"])(
    "that an upstream does not take (%s) are no failure of the request",
    async (code) => {
      const refusing = new Run([fails(failure(code)), says("Good day")], [logprob(-0.35)]);
      expect(await refusing.text()).toBe("Good day");
      const asked = new Run([fails(failure(code)), says("Good day")], [logprob(-0.35)]);
      expect(await asked.text({ logprobs: true })).toBe(code);
    },
  );
});

describe("a gate on the log-probabilities of the whole answer", () => {
  const values = [-0.1, -0.2, -0.3, -4];

  test.for<readonly [string, number]>([
    ["mean", -1.15],
    ["min", -4],
    // Ranks 0 to 3; 10 % of the way is at 0.3, between -4 and -0.3.
    ["p10", -4 + 0.3 * 3.7],
  ])("measures the %s", async ([measure, measured]) => {
    const at = (min: number) => new Run([sure("abcd", ...values), says("no")], [logprob(min, measure)]).text();
    expect(await at(measured - 0.001)).toBe("abcd");
    expect(await at(measured + 0.001)).toBe("no");
  });

  test("measures the 10 % quantile unless told otherwise", async () => {
    const run = new Run([sure("abcd", ...values), says("no")], [logprob(-3)]);
    expect(await run.text()).toBe("abcd");
  });

  test("reads the answer as a whole, and gives it out in one go", async () => {
    const run = new Run([sure("Hello", -0.1), says("no")], [logprob(-0.35)]);
    const { events } = await run.read();
    expect(run.models[0]?.calls[0]?.delivery).toBe("unary");
    expect(events.map(({ type }) => type)).toEqual(["batch", "finish"]);
  });

  test("does not accept an answer without any, and says why", async () => {
    const run = new Run([says("Hello"), says("Good day")], [logprob(-99)]);
    expect(await run.text()).toBe("Good day");
    expect(run.call.trace.warnings.length).toBe(1);
  });
});

describe("a gate on agreement", () => {
  const agreed = (agreement: number): Script => ({ ...says("Hello"), agreement });
  const gate: Accept = { by: "agreement", min: 0.6 };

  test("accepts what enough agree on", async () => {
    expect(await new Run([agreed(0.6), says("no")], [gate]).text()).toBe("Hello");
    expect(await new Run([agreed(0.59), says("Good day")], [gate]).text()).toBe("Good day");
  });

  test("tells the agreement on", async () => {
    for (const delivery of ["stream", "unary"] as const) {
      const { events } = await new Run([agreed(0.8), says("no")], [gate], { delivery }).read();
      expect(events.at(-1)).toMatchObject({ type: "finish", agreement: 0.8 });
    }
  });

  test("does not accept an answer that tells none", async () => {
    expect(await new Run([says("Hello"), says("Good day")], [gate]).text()).toBe("Good day");
  });

  test("at boot needs a child that tells one", () => {
    const plan = (model: unknown) => () => planNode({ kind: "cascade", steps: [{ model, accept: gate }, { model: "b" }] }, strategies);
    const vote = { kind: "vote", members: ["a", "b", "c"] };
    expect(plan("a")).toThrow(expect.objectContaining({ at: "steps[0].accept" }));
    expect(plan(vote)).not.toThrow();
    expect(plan({ kind: "retry", model: vote })).not.toThrow();
  });
});

describe("a gate on the request's own format", () => {
  const schema = { type: "object", properties: { sum: { type: "number" } }, required: ["sum"] };
  const json_schema = {
    response_format: { type: "json_schema", json_schema: { name: "sum", schema } },
  };
  const json_object = { response_format: { type: "json_object" } };

  test("accepts an answer that satisfies the schema", async () => {
    const answering = (text: string) => new Run([says(text), says("next")], [shape]).text(json_schema);
    expect(await answering('{"sum":4}')).toBe('{"sum":4}');
    expect(await answering('{"sum":"4"}')).toBe("next");
    expect(await answering('{"sum":')).toBe("next");
  });

  test("accepts any JSON object where one was asked for", async () => {
    const answering = (text: string) => new Run([says(text), says("next")], [shape]).text(json_object);
    expect([await answering('{"a":1}'), await answering("Four.")]).toEqual(['{"a":1}', "next"]);
  });

  test("accepts any text where no format was asked for, but neither a refusal nor nothing", async () => {
    const answering = (script: Script) => new Run([script, says("next")], [shape]).text();
    expect(await answering(says("Four."))).toBe("Four.");
    expect(await answering(says())).toBe("next");
    expect(await answering({ moves: [{ refusal: "I will not." }] })).toBe("next");
  });

  test("fails before any call for a schema that can not be used", async () => {
    const run = new Run([says("{}"), says("next")], [shape]);
    const broken = {
      response_format: {
        type: "json_schema",
        json_schema: { name: "x", schema: { pattern: "(" } },
      },
    };
    expect([await run.text(broken), run.asked]).toEqual(["invalid_request", ""]);
  });
});

describe("the last resort", () => {
  test("is the refused answer when the last step fails, marked degraded", async () => {
    for (const delivery of ["stream", "unary"] as const) {
      const run = new Run([sure("Hello", -1), fails(failure("upstream_timeout"))], [logprob(-0.35)], { delivery });
      const { events, error } = await run.read();
      expect([textIn(events), error]).toEqual(["Hello", undefined]);
      expect(run.call.trace.degraded).toEqual(["cascade: a later step failed (upstream_timeout), so the refused answer of step 1 stands"]);
      expect(run.call.span.decision).toMatchObject({
        kept: "step 1",
        steps: [{ outcome: "refused" }, { outcome: "failed", code: "upstream_timeout" }],
      });
    }
  });

  test("is the answer of the strongest step that has one", async () => {
    const run = new Run([sure("small", -1), sure("middle", -1), fails(failure())], [logprob(-0.35), logprob(-0.35)]);
    expect(await run.text()).toBe("middle");
  });

  test("is no answer that misses the format when there is another", async () => {
    const run = new Run([sure("small", -1), says("no JSON"), fails(failure())], [logprob(-0.35), shape]);
    expect(await run.text({ response_format: { type: "json_object" } })).toBe("small");
  });

  test("is a short answer that a prefix gate refused, because all of it was read", async () => {
    const run = new Run([sure("Hi", -1), fails(failure())], [prefix(-0.35, 48)]);
    const { events } = await run.read();
    expect(textIn(events)).toBe("Hi");
    expect(events.filter((event) => event.type === "batch" && (event.flags & Flag.logprobs) !== 0)).toEqual([]);
  });

  test("is not there when a prefix gate cut the answer, or when nothing was said", async () => {
    expect(await new Run([sure("Hello", -1), fails(failure("upstream_timeout"))], [prefix(-0.35)]).text()).toBe("upstream_timeout");
    expect(await new Run([says(), fails(failure("upstream_timeout"))], [logprob(-0.35)]).text()).toBe("upstream_timeout");
  });

  test.for<ErrorCode>(["content_filter", "upstream_invalid", "budget_denied", "upstream_auth", "internal"])(
    "stands in for %s too",
    async (code) => {
      const run = new Run([sure("Hello", -1), fails(failure(code))], [logprob(-0.35)]);
      expect(await run.text()).toBe("Hello");
    },
  );

  test("stands in when the budget has no room for the next step", async () => {
    const budget = openBudget({ calls: 1 }, unbounded, "smart");
    const run = new Run([sure("Hello", -1), says("no")], [logprob(-0.35)], { budget });
    const leaves = run.models.map((model) => ({
      name: model.name,
      async *stream(...[request, call]: Parameters<FakeModel["stream"]>) {
        call.budget.reserve({ usd: 0, tokens: 0 });
        yield* model.stream(request, call);
      },
    }));
    const node = {
      kind: "cascade",
      steps: [{ model: "a", accept: logprob(-0.35) }, { model: "b" }],
    };
    const stream = buildNode(node, (name) => leaves.find((leaf) => leaf.name === name) ?? new FakeModel(name), strategies).stream(
      newRequest(),
      run.call,
    );
    expect(textIn((await read(stream)).events)).toBe("Hello");
    expect(run.call.trace.degraded).toMatchObject([expect.stringContaining("budget_denied")]);
  });

  test("does not stand in for a caller who has left", async () => {
    const controller = new AbortController();
    const gone = failure("client_closed");
    const run = new Run([sure("Hello", -1), { moves: ["stall"] }], [logprob(-0.35)], {
      signal: controller.signal,
    });
    run.clock.timer(50, () => controller.abort(gone));
    expect((await run.read()).error).toBe(gone);
  });
});

describe("a step that fails", () => {
  test("is followed by the next, and that is no degradation", async () => {
    const run = new Run([fails(failure()), says("Good day")], [logprob(-0.35)]);
    expect(await run.text()).toBe("Good day");
    expect(run.call.trace.degraded).toEqual([]);
    expect(run.call.span.decision).toEqual({
      accepted: "step 2",
      steps: [
        { step: "step 1", outcome: "failed", code: "upstream_error", message: "It failed." },
        { step: "step 2", outcome: "accepted" },
      ],
    });
  });

  test("ends it when no other model could heal that", async () => {
    const run = new Run([fails(failure("content_filter")), says("no")], [logprob(-0.35)]);
    expect([await run.text(), run.asked]).toEqual(["content_filter", "a"]);
  });

  test("is told with the others when all have failed", async () => {
    const run = new Run([fails(failure("upstream_timeout")), fails(failure("upstream_error"))], [logprob(-0.35)]);
    expect((await run.read()).error).toMatchObject({
      code: "all_failed",
      details: { causes: [{ code: "upstream_timeout" }, { code: "upstream_error" }] },
    });
  });
});

describe("a step", () => {
  test("has a slot of its own: planned calls are no retries", async () => {
    const run = new Run([sure("a", -1), sure("b", -1), sure("c", -1), says("Good day")], [logprob(-0.35), logprob(-0.35), logprob(-0.35)], {
      slot: newSlot(newRetryBudget(), 1),
    });
    await run.read();
    expect(run.models.map(({ calls }) => calls.length)).toEqual([1, 1, 1, 1]);
    expect(new Set(run.models.map(({ calls }) => calls[0]?.slot)).size).toBe(4);
    expect(run.call.span.children.map(({ label }) => label)).toEqual(["step 1", "step 2", "step 3", "step 4"]);
  });

  test("that is last gets the request and streams as if it were alone", async () => {
    const run = new Run([sure("Hello", -1), says("Good", " day")], [logprob(-0.35)]);
    const { events } = await run.read();
    const alone = await read(new FakeModel("b", says("Good", " day")).stream(newRequest(), newCall()));
    expect(events).toEqual(alone.events);
    expect(run.models[1]?.requests[0]?.edits).toEqual({});
  });
});

describe("a turn with tools", () => {
  const tools = [{ type: "function", function: { name: "add" } }];
  const calling: Script = {
    moves: [{ tool: { id: "call_0", name: "add", arguments: "{}" } }],
    end: "tool_calls",
  };

  test("goes whole to the last step", async () => {
    const run = new Run([says("no"), calling], [logprob(-0.35)]);
    const { events } = await run.read({ tools });
    expect(run.asked).toBe("b");
    expect(events.flatMap((event) => (event.type === "batch" ? event.deltas : [])).map(({ type }) => type)).toEqual(["tool-call", "end"]);
  });

  test("goes to the owner that is named", async () => {
    const run = new Run([says("no"), says("no")], [logprob(-0.35)], {}, { tools: { owner: "owner" } });
    expect([await run.text({ tools }), run.asked]).toEqual(["I am owner.", ""]);
  });

  test("is refused where the config says so", async () => {
    const run = new Run([says("no"), says("no")], [logprob(-0.35)], {}, { tools: { policy: "refuse" } });
    expect([await run.text({ tools }), run.asked]).toEqual(["unsupported_parameter", ""]);
  });
});

describe("the options of a cascade", () => {
  const problems = (...steps: readonly object[]) => {
    const result = strategies.get("cascade")?.options.safeParse({ steps });
    return result?.success ? [] : result?.error.issues.map(({ path }) => path.join("."));
  };
  const gated = { model: "a", accept: logprob(-0.35) };

  test("give every step a gate but the last", () => {
    expect(problems(gated, { model: "b" })).toEqual([]);
    expect(problems({ model: "a" }, { model: "b" })).toEqual(["steps.0.accept"]);
    expect(problems(gated, gated)).toEqual(["steps.1.accept"]);
    expect(problems({ model: "a" })).toEqual(["steps"]);
  });

  test("refuse a threshold that nothing can reach or that everything does", () => {
    expect(problems({ model: "a", accept: prefix(0.1) }, { model: "b" })).toEqual(["steps.0.accept.min"]);
    expect(problems({ model: "a", accept: { by: "agreement", min: 1.1 } }, { model: "b" })).toEqual(["steps.0.accept.min"]);
    expect(problems({ model: "a", accept: { by: "schema", min: 0.5 } }, { model: "b" })).toEqual(["steps.0.accept"]);
  });
});

describe("the plan of a cascade", () => {
  const planOf = (options: object) => planNode({ kind: "cascade", ...options }, strategies).plan;
  const vote = { kind: "vote", members: ["a", "b", "c"] };

  test("costs its first step at best, and all of them one after another at worst", () => {
    expect(planOf({ steps: [{ model: vote, accept: { by: "agreement", min: 0.6 } }, { model: "b" }] })).toMatchObject({
      calls: [1, 4],
      depth: 2,
      tail: "b",
      reads: true,
      tools: "b",
    });
    const steps = [{ model: vote, accept: { by: "agreement", min: 0.6 } }, { model: vote }];
    expect(planOf({ steps })).toMatchObject({ calls: [3, 6], tail: "none" });
    expect(planOf({ steps, tools: { policy: "refuse" } }).tools).toBe("refused");
  });

  test("streams behind a prefix gate, and names the owner of turns with tools", () => {
    const plan = planOf({
      steps: [{ model: "a", accept: prefix(-0.35) }, { model: "b" }],
      tools: { owner: "c" },
    });
    expect(plan).toMatchObject({
      tail: "a or b",
      tools: "c",
      edges: [{ role: "step 1" }, { role: "step 2" }, { role: "owner" }],
    });
  });
});

test("whatever the steps do, there is an answer unless every step that was asked failed or was cut", async () => {
  const step = fc.oneof(
    fc.constant({ script: sure("sure", -0.1), answer: "sure", accepted: true }),
    fc.constant({ script: sure("unsure", -2), answer: "unsure", accepted: false }),
    fc.constant({ script: says("silent"), answer: "silent", accepted: false }),
    fc.constant({ script: fails(failure()), answer: undefined, accepted: false }),
  );
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 1, maxLength: 4 }),
    step,
    fc.constantFrom("stream" as const, "unary" as const),
    async (gated, last, delivery) => {
      const steps = [...gated, last];
      const run = new Run(
        steps.map(({ script }) => script),
        gated.map(() => logprob(-0.35)),
        { delivery },
      );
      const accepted = gated.find((one) => one.accepted) ?? (last.answer === undefined ? undefined : last);
      const expected = accepted ?? gated.findLast(({ answer }) => answer !== undefined);
      const { events, error } = await run.read();
      expect(error === undefined ? textIn(events) : undefined).toBe(expected?.answer);
      expect(run.call.trace.degraded.length).toBe(expected !== undefined && expected !== accepted ? 1 : 0);
      expect(run.models.filter(({ open }) => open > 0)).toEqual([]);
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import type { ModelEvent } from "../../../src/model/events.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import type { Weighed } from "../../../src/panel/assemble.ts";
import { byConsistency, consistencyStop, type Sampled } from "../../../src/panel/voting/consistency.ts";
import { ownCompletion } from "../../../src/panel/flush.ts";
import type { Node } from "../../../src/strategies/define.ts";
import { fallback } from "../../../src/strategies/api/fallback.ts";
import { mux } from "../../../src/strategies/text/mux.ts";
import { buildNode, planNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { manualClock } from "../../support/clock.ts";
import { fails, FakeModel, says, textIn, type Script } from "../../support/fake-model.ts";

const strategies = new Map([mux, fallback].map((strategy) => [strategy.kind, strategy]));
const down = new GatewayError("upstream_error", "down");

async function all(events: AsyncIterable<ModelEvent>): Promise<readonly ModelEvent[]> {
  const seen: ModelEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

interface Run {
  readonly text: string;
  readonly call: Call;
  readonly models: Readonly<Record<string, FakeModel>>;
  readonly decision: Readonly<Record<string, unknown>>;
  readonly agreement: number | undefined;
  readonly degraded: readonly string[];
}

type Scripts = Readonly<Record<string, readonly Script[]>>;

async function run(node: Node, scripts: Scripts, body: Partial<ChatBody> = {}): Promise<Run> {
  const models = Object.fromEntries(Object.entries(scripts).map(([name, script]) => [name, new FakeModel(name, ...script)]));
  const clock = manualClock();
  const call = newCall({ clock });
  const events = await clock.drive(all(buildNode(node, (name) => models[name]!, strategies).stream(newRequest(body), call)));
  const finish = events.at(-1);
  const agreement = finish?.type === "finish" ? finish.agreement : undefined;
  return { text: textIn(events), call, models, decision: call.span.decision ?? {}, agreement, degraded: call.trace.degraded };
}

async function failure(node: Node, scripts: Scripts, body: Partial<ChatBody> = {}): Promise<unknown> {
  return run(node, scripts, body).then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Answers with a number each; undefined fails. */
const gives = (...numbers: readonly (number | undefined)[]) =>
  numbers.map((number, index) => (number === undefined ? fails(down) : says(`Sample ${index + 1}: the answer is ${number}.`)));

const two = { kind: "mux", members: ["a", "b"], samples: 5, stop: "none" };

describe("the choice", () => {
  test("takes the most frequent answer of the model that agrees most with itself", async () => {
    // a says 7 three times of five, b says 8 four times: 0.8 beats 0.6.
    const { text, decision, agreement } = await run(two, { a: gives(7, 7, 7, 1, 2), b: gives(9, 8, 8, 8, 8) });
    expect(text).toBe("Sample 2: the answer is 8.");
    expect(agreement).toBe(0.8);
    expect(decision).toMatchObject({
      by: "consistency",
      winner: "b#2",
      answer: "8",
      members: { "1 a": { confidence: 0.6, usable: 5 }, "2 b": { confidence: 0.8, usable: 5 } },
    });
  });

  test("does not add up the votes of several models: two that are wrong together do not outvote one that is sure", async () => {
    const three = { ...two, members: ["a", "b", "c"] };
    // 9 has six votes of fifteen, 7 has five; but c is the most consistent.
    const { text } = await run(three, { a: gives(9, 9, 9, 1, 2), b: gives(9, 9, 9, 3, 4), c: gives(7, 7, 7, 7, 7) });
    expect(text).toContain("7");
  });

  test("gives a tie to the higher weight, then to the earlier member", async () => {
    const scripts = { a: gives(7, 7, 7, 1, 2), b: gives(8, 8, 8, 3, 4) };
    expect((await run(two, scripts)).text).toContain("7");
    const weighed = {
      ...two,
      members: [
        { model: "a", weight: 0.5 },
        { model: "b", weight: 0.6 },
      ],
    };
    expect((await run(weighed, scripts)).text).toContain("8");
    // The weight breaks ties and does nothing else.
    expect((await run(weighed, { a: gives(7, 7, 7, 7, 2), b: gives(8, 8, 8, 3, 4) })).text).toContain("7");
  });

  test("gives a tie within the winner to its earliest sample", async () => {
    const { text, agreement } = await run(two, { a: gives(1, 2, 2, 1, 3), b: gives(4, 5, 6, 7, 8) });
    expect(text).toBe("Sample 1: the answer is 1.");
    expect(agreement).toBe(0.4);
  });

  test("knows its failure: a model that is sure of what is wrong wins", async () => {
    const { text } = await run(two, { a: gives(7, 7, 7, 7, 1), b: gives(9, 9, 9, 9, 9) });
    expect(text).toContain("9");
  });

  test("does not count samples that failed", async () => {
    // b: three of four, 0.75, beats three of five.
    const { text, agreement } = await run(two, { a: gives(7, 7, 7, 1, 2), b: gives(8, 8, undefined, 8, 3) });
    expect(text).toContain("8");
    expect(agreement).toBe(0.75);
  });

  test("does not take a single survivor for the most consistent model", async () => {
    const lonely = { a: gives(7, 7, 7, 7, 2), b: gives(8, undefined, undefined, undefined, undefined) };
    const { text, decision, degraded } = await run(two, lonely);
    expect(text).toContain("7");
    expect(decision["members"]).toMatchObject({ "2 b": { confidence: 1, usable: 1 } });
    expect(degraded).toEqual([]);
  });

  test("answers from a single survivor where there is no other, and says so", async () => {
    const { text, degraded } = await run(two, {
      a: gives(...Array.from({ length: 5 }, () => undefined)),
      b: gives(8, undefined, undefined, undefined, undefined),
    });
    expect(text).toContain("8");
    expect(degraded).toEqual(["quorum: 1 of 6 usable answers"]);
  });

  test("settles prose by the medoid, marked as degraded, or fails where the config says so", async () => {
    const prose = (what: string) => says(`${what} grew by the river, as trade went over water in those years. `.repeat(5));
    const scripts = { a: [prose("The town"), prose("The old town")], b: [prose("A village"), prose("The town")] };
    const { degraded, decision } = await run({ ...two, samples: 2 }, scripts);
    expect(degraded).toEqual(["mux: no answers could be compared, the medoid was taken"]);
    expect(decision["by"]).toBe("medoid");
    expect(await failure({ ...two, samples: 2, onShort: "fail" }, scripts)).toMatchObject({ code: "unusable_answer" });
  });

  test("keeps two members of one model apart", async () => {
    const node = { ...two, members: ["a", { model: "a", temperature: 0.9 }], samples: 2 };
    const { decision } = await run(node, { a: gives(7, 8, 9, 9) });
    expect(decision).toMatchObject({ winner: "a#3", members: { "1 a": { confidence: 0.5 }, "2 a": { confidence: 1 } } });
  });
});

describe("requests and schemas", () => {
  test("samples at its own temperature, or at the member's", async () => {
    const node = { ...two, members: ["a", { model: "b", temperature: 1, samples: 3 }], samples: 2 };
    const { models } = await run(node, { a: gives(7), b: gives(7) }, { temperature: 0 });
    expect(models["a"]?.requests.map(({ body }) => body.temperature)).toEqual([0.3, 0.3]);
    expect(models["b"]?.requests.map(({ body }) => body.temperature)).toEqual([1, 1, 1]);
    expect(new Set(models["b"]?.requests.map(({ body }) => body.seed)).size).toBe(3);
  });

  test("compares structured answers by value, leaves invalid ones out, repairs the last", async () => {
    const json: Partial<ChatBody> = { response_format: { type: "json_object" } };
    const scripts = { a: [says('{"x":1}'), says("x")], b: [says('{"x":2}'), says('{"x": 2.0}')] };
    expect((await run({ ...two, samples: 2 }, scripts, json)).text).toBe('{"x":2}');
    const repaired = await run({ ...two, samples: 2 }, { a: [says("x"), says("y"), says('{"x":3}')], b: [says("z")] }, json);
    expect(repaired.text).toBe('{"x":3}');
    expect(await failure({ ...two, samples: 2 }, { a: [says("x")], b: [says("z")] }, json)).toMatchObject({ code: "schema_unsatisfied" });
  });

  test("hands every turn with tools to the first member", async () => {
    const { models } = await run(two, { a: gives(7), b: gives(8) }, { tools: [{ type: "function", function: { name: "f" } }] });
    expect([models["a"]?.calls.length, models["b"]?.calls.length]).toEqual([1, 0]);
  });
});

describe("early stop", () => {
  const slow = (number: number, waitMs: number): Script => ({ moves: [{ waitMs }, { text: `The answer is ${number}.` }] });
  const never: Script = { moves: ["stall"] };

  test("cuts the samples that can not change the answer", async () => {
    // a is complete and sure: b could equal it at best, and comes after it.
    const node = { kind: "mux", members: ["a", "b"], samples: 3, quorum: { min: 2 } };
    const { models, decision, text } = await run(node, { a: [slow(7, 1), slow(7, 2), slow(7, 3)], b: [never] });
    expect(text).toContain("7");
    expect(models["b"]).toMatchObject({ cancelled: 3, open: 0 });
    expect(decision["early"]).toBe("no sample can change the answer");
  });

  test("waits where a later member could still win", async () => {
    const node = { kind: "mux", members: ["b", "a"], samples: 3, quorum: { min: 2 } };
    const { decision, text } = await run(node, { a: [slow(7, 1), slow(7, 2), slow(7, 3)], b: [slow(8, 10), slow(8, 20), slow(8, 30)] });
    expect(text).toContain("8");
    expect(decision).not.toHaveProperty("early");
  });

  const candidate = (seat: number, answer: number): Weighed => ({
    seat,
    label: `s${seat}`,
    completion: ownCompletion(String(answer)),
    ms: 1,
    weight: 1,
    text: String(answer),
  });

  test("never ends with another answer than all samples would, in any order of arrival, failures included", () => {
    const rule = { kind: "number" } as const;
    const shape = fc.record({
      counts: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
      weights: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 3, maxLength: 3 }),
      answers: fc.array(fc.option(fc.integer({ min: 1, max: 3 }), { freq: 6 }), { minLength: 15, maxLength: 15 }),
      order: fc.shuffledSubarray([...Array.from({ length: 15 }).keys()], { minLength: 15, maxLength: 15 }),
    });
    let stops = 0;
    fc.assert(
      fc.property(shape, ({ counts, weights, answers, order }) => {
        let next = 0;
        const members = counts.map((count, index): Sampled => ({
          name: `m${index}`,
          weight: weights[index] ?? 0,
          seats: Array.from({ length: count }, () => next++),
        }));
        const winner = (arrived: readonly Weighed[]) => {
          const [first] = byConsistency(
            arrived.toSorted((a, b) => a.seat - b.seat),
            rule,
            members,
          );
          return [first?.member.name, first?.ballot?.key];
        };
        const { stop } = consistencyStop(rule, members);
        const arrived: Weighed[] = [];
        const whole = answers.flatMap((answer, seat) => (seat < next && answer !== null ? [candidate(seat, answer)] : []));
        for (const seat of order) {
          const found = whole.find((one) => one.seat === seat);
          if (found === undefined) continue;
          arrived.push(found);
          if (stop(found) === undefined) continue;
          stops += 1;
          expect(winner(arrived)).toEqual(winner(whole));
          return;
        }
      }),
      { numRuns: 3000 },
    );
    expect(stops).toBeGreaterThan(500);
  });
});

describe("config", () => {
  test.each([
    [{ kind: "mux", members: ["a"] }, "members"],
    [{ kind: "mux", members: ["a", "b"], quorum: { reserves: ["c"] } }, "quorum.reserves"],
    [{ kind: "mux", members: ["a", { model: "b", weight: -1 }] }, "members[1].weight"],
    [{ kind: "mux", members: ["a", "b"], samples: 33 }, "samples"],
    [{ kind: "mux", members: ["a", "b"], answer: "regex" }, "pattern"],
    [{ kind: "mux", members: ["a", "b"], samples: 2, quorum: { min: 5 } }, "quorum.min"],
  ])("refuses %j", (node, at) => {
    expect(() => buildNode(node, (name) => new FakeModel(name), strategies)).toThrow(expect.objectContaining({ name: "OptionError", at }));
  });

  test("refuses one sample: a single answer always agrees with itself", () => {
    expect(mux.options.safeParse({ members: ["a", "b"], samples: 1 }).success).toBe(false);
  });

  test("plans n times k calls at once", () => {
    const { plan } = planNode({ kind: "mux", members: ["a", "b", { model: "c", samples: 3 }] }, strategies);
    expect(plan).toMatchObject({ calls: [13, 13], depth: 1, tail: "none", agreement: true, tools: "a" });
    expect(plan.edges.map(({ role }) => role)).toEqual(["member 1 x5", "member 2 x5", "member 3 x3"]);
  });

  test.each(mux.examples.map((node) => [node]))("runs its example %j", async (node) => {
    expect((await run(node, { a: gives(7), b: gives(7), c: gives(7) })).text).toContain("7");
  });
});

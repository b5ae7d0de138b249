/** What is told of an agreement when the last votes were not waited for, and what those who read it make of that. */
import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import type { Call } from "../../src/model/call.ts";
import { GatewayError } from "../../src/model/errors.ts";
import { memoryStore } from "../../src/store/memory.ts";
import type { Node } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { buildNode } from "../support/build.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { FakeModel, fails, type Script, textIn } from "../support/fake-model.ts";
import { read } from "../support/read.ts";

const down = new GatewayError("upstream_error", "down");

/** What a seat says, undefined when it fails, and after how many milliseconds. */
interface Seat {
  readonly answer: number | undefined;
  readonly ms: number;
  readonly weight: number;
}

function scriptOf({ answer, ms }: Seat): Script {
  return answer === undefined
    ? { ...fails(down), moves: [{ waitMs: ms }, { fail: down }] }
    : { moves: [{ waitMs: ms }, { text: `The answer is ${answer}.` }] };
}

const names = "abcdefg";

/** Seats answer in the order of the numbers. */
function seats(...answers: readonly (readonly [answer: number, ms: number])[]): readonly Seat[] {
  return answers.map(([answer, ms]) => ({ answer, ms, weight: 1 }));
}

async function run(node: Node, given: readonly Seat[], fields: object = {}) {
  const clock = manualClock();
  const call: Call = newCall({ clock, delivery: "unary" });
  const leaf = (name: string) => {
    const seat = given[names.indexOf(name)];
    return seat ? new FakeModel(name, scriptOf(seat)) : new FakeModel(name, { moves: [{ text: "The answer is 0." }] });
  };
  const { events, error } = await clock.drive(read(buildNode(node, leaf, strategies).stream(newRequest(fields), call)));
  const finish = events.at(-1);
  if (finish?.type !== "finish") throw error ?? new Error("no finish");
  const { agreement, agreementAtMost, completion } = finish;
  return {
    text: textIn(events) || String(completion?.choices[0]?.message.content),
    agreement,
    agreementAtMost,
    decision: call.span.decision ?? {},
  };
}

function voteOf(given: readonly Seat[], options: object = {}): Exclude<Node, string> {
  return { kind: "vote", members: given.map(({ weight }, index) => ({ model: names.charAt(index), weight })), ...options };
}

const gated = (model: Node, min: number): Node => ({
  kind: "cascade",
  steps: [{ model, accept: { by: "agreement", min } }, { model: "z" }],
});

/** Two for 42 and one for 7; who is last differs. */
const dissentLast = seats([42, 10], [42, 20], [7, 30]);
const dissentFirst = seats([42, 10], [42, 30], [7, 20]);
const unanimous = seats([42, 10], [42, 20], [42, 30]);

describe("a gate over an agreement", () => {
  test.for([0.6, 0.9])("of %f decides the same whoever is last", async (min) => {
    for (const given of [dissentLast, dissentFirst]) {
      expect((await run(gated(voteOf(given), min), given)).decision["accepted"]).toBe(min < 2 / 3 ? "step 1" : "step 2");
    }
  });

  test("waits for all where that may change the verdict, and is told the whole agreement", async () => {
    const { decision } = await run(gated(voteOf(unanimous), 0.9), unanimous);
    expect(decision).toMatchObject({ accepted: "step 1", steps: [{ measured: 1, threshold: 0.9 }] });
    expect(JSON.stringify(decision)).not.toContain("atMost");
  });

  test("does not wait for votes that can not change it", async () => {
    const { decision } = await run(gated(voteOf(unanimous), 0.6), unanimous);
    expect(decision).toMatchObject({ accepted: "step 1", steps: [{ measured: 2 / 3, atMost: 1, threshold: 0.6 }] });
    const five = seats([1, 10], [2, 20], [1, 30], [1, 40], [2, 50]);
    const { decision: refused } = await run(gated(voteOf(five), 0.9), five);
    expect(refused).toMatchObject({ accepted: "step 2", steps: [{ measured: 0.6, atMost: 0.8 }, {}] });
  });

  test.for<readonly [string, (model: Node) => Node]>([
    ["a fallback", (model) => ({ kind: "fallback", members: [model, voteOf(dissentLast)] })],
    ["a balance", (model) => ({ kind: "balance", members: [model, model] })],
    ["a race", (model) => ({ kind: "race", members: [model, voteOf(dissentLast)], staggerMs: 60_000 })],
    ["a cache", (model) => ({ kind: "cache", model })],
    ["a route", (model) => ({ kind: "route", by: "rules", rules: [{ when: { tools: false }, model }], else: model })],
    ["a vote that abstains", (model) => ({ ...(model as object), kind: "vote", abstainBelow: 0.5 })],
    ["an abstention", (model) => ({ kind: "abstain", model, by: "agreement", samples: 1, min: 0.3 })],
  ])("reaches through %s", async ([, wrapped]) => {
    const accepted = async (given: readonly Seat[]) => (await run(gated(wrapped(voteOf(given)), 0.9), given)).decision["accepted"];
    expect([await accepted(dissentLast), await accepted(unanimous)]).toEqual(["step 2", "step 1"]);
  });

  test("does not reach members of a panel, whose agreement nobody reads", async () => {
    const { decision } = await run(gated({ kind: "vote", members: [voteOf(unanimous), "z"], stop: "none" }, 0.4), unanimous);
    expect(decision["accepted"]).toBe("step 1");
    const clock = manualClock();
    const inner = new FakeModel("c", { moves: ["stall"] });
    const leaf = (name: string) => (name === "c" ? inner : new FakeModel(name, { moves: [{ text: "The answer is 42." }] }));
    const node = gated({ kind: "vote", members: [voteOf(unanimous), "z"], stop: "none" }, 0.9);
    const { events } = await clock.drive(read(buildNode(node, leaf, strategies).stream(newRequest(), newCall({ clock }))));
    expect([textIn(events), inner.cancelled]).toEqual(["The answer is 42.", 1]);
  });

  test("of an abstention over its own samples is protected too", async () => {
    const leaf = () =>
      new FakeModel("a", ...[42, 42, 42].map((one, index): Script => ({ moves: [{ waitMs: index }, { text: `The answer is ${one}.` }] })));
    const abstain: Node = { kind: "abstain", model: "a", by: "agreement", samples: 3, min: 0.5 };
    const clock = manualClock();
    const call = newCall({ clock, delivery: "unary" });
    await clock.drive(read(buildNode(gated(abstain, 0.9), leaf, strategies).stream(newRequest(), call)));
    expect(call.span.decision).toMatchObject({ accepted: "step 1", steps: [{ measured: 1 }] });
  });

  test("gets no answer from a cache that was counted for another gate, or for none", async () => {
    const store = memoryStore();
    const clock = manualClock();
    const ask = async (wrap: (model: Node) => Node) => {
      const leaf = (name: string) => new FakeModel(name, scriptOf(unanimous[names.indexOf(name)] ?? { answer: 0, ms: 0, weight: 1 }));
      const call = newCall({ clock, delivery: "unary" });
      const model = buildNode(wrap({ kind: "cache", model: voteOf(unanimous) }), leaf, strategies, { store });
      await clock.drive(read(model.stream(newRequest(), call)));
      return call.span;
    };
    const direct = (model: Node): Node => ({ kind: "retry", model });
    const kept = async (wrap: (model: Node) => Node) => (await ask(wrap)).decision;
    await ask(direct);
    expect(await kept((model) => gated(model, 0.9))).toMatchObject({ accepted: "step 1" });
    // The answer that was counted for this gate is kept, with all that is known of its agreement.
    expect(await kept((model) => gated(model, 0.6))).toMatchObject({ steps: [{ measured: 2 / 3, atMost: 1 }] });
    expect(await kept((model) => gated(model, 0.6))).toMatchObject({ steps: [{ measured: 2 / 3, atMost: 1 }] });
  });
});

describe("in any order of arrival, with failures", () => {
  const weight = fc.constantFrom(1, 1, 1, 2, 0.5, -1);
  const seat = fc.record({ answer: fc.option(fc.integer({ min: 1, max: 3 }), { freq: 8, nil: undefined }), weight });
  const panel = fc
    .array(seat, { minLength: 2, maxLength: 7 })
    .chain((list) =>
      fc
        .shuffledSubarray([...list.keys()], { minLength: list.length, maxLength: list.length })
        .map((order) => list.map((one, index): Seat => ({ ...one, ms: 10 * (order.indexOf(index) + 1) }))),
    )
    .filter((list) => list.some(({ answer }) => answer !== undefined));
  const min = fc.constantFrom(0.3, 0.5, 0.6, 0.7, 0.9, 1);

  const outcomes = async (wrap: (options: object) => Node, given: readonly Seat[]) => {
    const [stopped, whole] = [await run(wrap({}), given), await run(wrap({ stop: "none" }), given)];
    return { stopped, whole };
  };

  test("a vote's gate decides as over all votes", async () => {
    await fc.assert(
      fc.asyncProperty(panel, min, async (given, least) => {
        const { stopped, whole } = await outcomes((options) => gated(voteOf(given, options), least), given);
        expect([stopped.decision["accepted"], stopped.text]).toEqual([whole.decision["accepted"], whole.text]);
      }),
      { numRuns: 250 },
    );
  });

  test("a vote tells bounds that hold", async () => {
    let stops = 0;
    await fc.assert(
      fc.asyncProperty(panel, async (given) => {
        const { stopped, whole } = await outcomes((options) => voteOf(given, options), given);
        if (stopped.agreementAtMost !== undefined) stops += 1;
        const { agreement = -1, agreementAtMost = agreement } = stopped;
        expect(whole.agreement).toBeGreaterThanOrEqual(agreement - 1e-9);
        expect(whole.agreement).toBeLessThanOrEqual(agreementAtMost + 1e-9);
      }),
      { numRuns: 250 },
    );
    expect(stops).toBeGreaterThan(30);
  });

  test("so does a multiplexer's, over the samples of the one who answers", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 10, maxLength: 10 }), min, async (answers, least) => {
        const samples = (name: string) =>
          new FakeModel(
            name,
            ...Array.from({ length: 5 }, (_, index): Script =>
              scriptOf({ answer: answers[index + (name === "b" ? 5 : 0)], ms: 10 * (answers[9 - index] ?? 1), weight: 1 }),
            ),
          );
        const verdict = async (stop: string) => {
          const clock = manualClock();
          const call = newCall({ clock, delivery: "unary" });
          const node = gated({ kind: "mux", members: ["a", "b"], samples: 5, answer: "number", stop }, least);
          const { error } = await clock.drive(read(buildNode(node, samples, strategies).stream(newRequest(), call)));
          expect(error).toBeUndefined();
          return call.span.decision?.["accepted"];
        };
        expect(await verdict("settled")).toBe(await verdict("none"));
      }),
      { numRuns: 150 },
    );
  });
});

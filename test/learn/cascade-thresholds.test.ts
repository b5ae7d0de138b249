import { describe, expect, test } from "vitest";
import { textRemover } from "../../src/catalog/record-decision.ts";
import { gateSamples, type GateSample } from "../../src/learn/cascade-samples.ts";
import { chooseThreshold, thresholdTable } from "../../src/learn/cascade-thresholds.ts";
import { openGrader } from "../../src/learn/grades.ts";
import { HISTORY_VERSION, type LegRecord, type RecordedSpan, type RequestRecord } from "../../src/model/history.ts";
import type { Span } from "../../src/model/trace.ts";
import { fit, readThresholds } from "../../src/panel/cascade/thresholds.ts";

const samples = (...pairs: readonly (readonly [measured: number | undefined, score?: number])[]): readonly GateSample[] =>
  pairs.map(([measured, score]) => ({ measured, score }));

describe("a threshold for a share", () => {
  const five = samples([-0.5, 0], [-0.1, 1], [-0.3, 1], [-0.2, 0], [-0.4]);

  test.each([
    [0.2, -0.1, 1],
    [0.4, -0.2, 2],
    // A share between two counts is reached, not missed.
    [0.41, -0.3, 3],
    [1, -0.5, 5],
    [0, -0.1, 1],
  ])("of %d is exact on the sample", (share, min, accepted) => {
    expect(chooseThreshold(five, { share }, 5)).toMatchObject({ min, accepted, total: 5 });
  });

  test("says how many of those accepted are graded and right", () => {
    expect(chooseThreshold(five, { share: 1 }, 1)).toMatchObject({ graded: 4, right: 2 });
  });

  test("accepts all that are equal", () => {
    expect(chooseThreshold(samples([1], [0.5], [0.5], [0.5]), { share: 0.5 }, 1)).toMatchObject({ min: 0.5, accepted: 4 });
  });

  test("counts answers that came without a measure among those that it has to send on", () => {
    const half = samples([1], [0.9], [undefined], [undefined]);
    expect(chooseThreshold(half, { share: 0.5 }, 1)).toMatchObject({ min: 0.9, accepted: 2, total: 4 });
    expect(() => chooseThreshold(half, { share: 0.75 }, 1)).toThrow(
      /2 of 4 answers came with what the gate measures, so it can not accept 3/,
    );
  });
});

describe("agreements of votes that were stopped early", () => {
  const cut = (measured: number, atMost: number, score?: number): GateSample => ({ measured, atMost, score });
  const votes = [cut(0.6, 1, 1), cut(0.6, 1, 1), { measured: 0.8, score: 0 }, { measured: 1, score: 1 }, { measured: 0.4, score: 0 }];

  test("are no reason for a threshold that they may have reached or not", () => {
    // At 0.8 and at 1 nobody knows whether the first two would have been accepted.
    expect(chooseThreshold(votes, { share: 0.2 }, 1)).toMatchObject({ min: 0.6, accepted: 4 });
    expect(chooseThreshold(votes, { share: 1 }, 1)).toMatchObject({ min: 0.4, accepted: 5 });
    expect(chooseThreshold([cut(0.6, 0.7), { measured: 0.8, score: 0 }], { share: 0.2 }, 1)).toMatchObject({ min: 0.8, accepted: 1 });
  });

  test("are named where no threshold is right often enough", () => {
    expect(chooseThreshold(votes, { accuracy: 0.75 }, 1)).toMatchObject({ min: 0.6, right: 3 });
    expect(() => chooseThreshold(votes, { accuracy: 1 }, 1)).toThrow(
      "the best is 75.0 % at 0.6; 2 of 5 votes were stopped early, which leaves few thresholds to choose from: record with `stop: none` at this step",
    );
    const ungraded = [cut(0.2, 1), { measured: 0.5, score: 1 }];
    expect(() => chooseThreshold(ungraded, { accuracy: 1 }, 1)).toThrow("no threshold is sure to accept 1 answers or more; 1 of 2 votes");
  });
});

describe("a threshold for an accuracy", () => {
  // From the top: right, right, wrong, right, right, wrong. Accuracies of the first 1 to 6: 1, 1, 2/3, 3/4, 4/5, 4/6.
  const six = samples([6, 1], [5, 1], [4, 0], [3, 1], [2, 1], [1, 0]);

  test.each([
    [1, 5, 2],
    [0.8, 2, 5],
    [0.7, 2, 5],
    [0.6, 1, 6],
  ])("of %d accepts as much as it can", (accuracy, min, accepted) => {
    expect(chooseThreshold(six, { accuracy }, 1)).toMatchObject({ min, accepted });
  });

  test("rests on no fewer answers than the least, and says the best that there is", () => {
    expect(() => chooseThreshold(six, { accuracy: 0.9 }, 3)).toThrow(
      "no threshold is right 90 % of the time on 3 answers or more; the best is 80.0 % at 2",
    );
  });

  test("is refused without grades", () => {
    expect(() => chooseThreshold(samples([1], [2], [3]), { accuracy: 0.9 }, 2)).toThrow(/^0 graded answers came to the gate/);
  });
});

function leg(path: readonly string[], upstream: string, order: number): LegRecord {
  return {
    v: HISTORY_VERSION,
    type: "leg",
    requestId: "r",
    at: 0,
    upstream,
    key: `key-${order}`,
    path,
    label: path.at(-1) ?? "",
    order,
    delivery: "unary",
    status: "ok",
    startMs: 0,
    ms: 0,
    seq: { start: order },
  };
}

function requestOf(trace: RecordedSpan): RequestRecord {
  return {
    v: HISTORY_VERSION,
    type: "request",
    requestId: "r",
    at: 0,
    principal: "anyone",
    model: "outer",
    strategy: "fallback",
    status: 200,
    stream: false,
    ms: 0,
    legs: 0,
    usd: 0,
    coverage: 1,
    degraded: [],
    warnings: [],
    trace,
  };
}

describe("what a history tells of a cascade", () => {
  const span = (label: string, more: Partial<RecordedSpan> = {}): RecordedSpan => ({ label, status: "ok", startMs: 0, ...more });
  const cascade = span("member 1", {
    node: "smart",
    kind: "cascade",
    decision: {
      steps: [
        { step: "step 1", outcome: "refused", by: "agreement", measured: 0.4, atMost: 0.55, threshold: 0.6 },
        { step: "step 2", outcome: "accepted", by: "logprob", measured: -0.2, threshold: -1 },
      ],
    },
    children: [span("step 1", { kind: "vote", decision: { winner: "b" }, children: [span("a"), span("b")] }), span("step 2")],
  });
  const history = {
    requests: [requestOf(span("outer", { kind: "fallback", children: [cascade] }))],
    legs: [
      leg(["outer", "member 1", "step 1", "a"], "p/a", 0),
      leg(["outer", "member 1", "step 1", "b"], "p/b", 1),
      leg(["outer", "member 1", "step 2"], "p/c", 2),
    ],
  };
  const grades = openGrader({
    grades: [
      '{"requestId": "r", "upstream": "p/a", "score": 0}\n{"requestId": "r", "upstream": "p/b", "score": 1}\n{"key": "key-2", "upstream": "p/c", "score": 0.2}',
      "grades.jsonl",
    ],
  });

  test("is found wherever the cascade stands, with the grade of the answer that each step gave", () => {
    const gates = [
      { step: "step 1", by: "agreement" },
      { step: "step 2", by: "logprob" },
    ];
    expect(gateSamples(history, "smart", gates, grades)).toEqual([
      [{ measured: 0.4, atMost: 0.55, score: 1 }],
      [{ measured: -0.2, score: 0.2 }],
    ]);
    expect(gateSamples(history, "other", gates, grades)).toEqual([[], []]);
  });

  test("is there without content too", () => {
    const step = (label: string): Span => ({ label, status: "ok", startMs: 0, children: [] });
    const root: Span = { ...step("request"), children: [step("step 1"), step("step 2")] };
    const decision = textRemover(root)(cascade.decision!);
    const bare = { ...history, requests: [requestOf(span("outer", { children: [{ ...cascade, decision }] }))] };
    const gates = [
      { step: "step 1", by: "agreement" },
      { step: "step 2", by: "logprob" },
    ];
    expect(gateSamples(bare, "smart", gates, grades)).toMatchObject([[{ measured: 0.4, atMost: 0.55 }], [{ measured: -0.2 }]]);
  });

  test("of a gate that has changed since is left out", () => {
    expect(gateSamples(history, "smart", [{ step: "step 1", by: "judge" }], grades)).toEqual([[]]);
  });
});

test("the table fits its own cascade and no other", () => {
  const gates = [
    { gate: { by: "logprob", measure: "mean" }, takesMin: true },
    { gate: { by: "ask" }, takesMin: false },
  ];
  const table = thresholdTable(["a", "vote", "c"], gates, [{ min: -0.5, accepted: 1, total: 2, graded: 0, right: 0 }, undefined]);
  const read = readThresholds(Buffer.from(JSON.stringify(table)));
  expect(read).toMatchObject({ ok: true });
  const options = gates.map(({ gate }) => gate);
  expect(fit(table, ["a", "vote", "c"], options)).toEqual({ ok: true, mins: [-0.5, undefined] });
  expect(fit(table, ["a", "vote", "d"], options)).toMatchObject({ ok: false });
  expect(fit(table, ["a", "vote", "c"], [{ by: "logprob", measure: "min" }, { by: "ask" }])).toMatchObject({ ok: false });
  // An option that only one of the two has is a difference as well.
  expect(fit(table, ["a", "vote", "c"], [{ by: "logprob" }, { by: "ask" }])).toMatchObject({ ok: false });
  expect(fit(table, ["a", "vote", "c"], [{ ...options[0], window: 4 }, { by: "ask" }])).toMatchObject({ ok: false });
});

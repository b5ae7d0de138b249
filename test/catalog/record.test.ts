import { describe, expect, test } from "vitest";
import { textRemover } from "../../src/catalog/record-decision.ts";
import { openDraws, withOwnDraws } from "../../src/catalog/record-draws.ts";
import { watched } from "../../src/catalog/record-legs.ts";
import { bare, wrapsFor } from "../../src/catalog/record-wraps.ts";
import { openRecorder } from "../../src/catalog/record.ts";
import { enter } from "../../src/model/call.ts";
import { openSpan, type Span } from "../../src/model/trace.ts";
import { newCall, newRequest } from "../support/call.ts";
import { FakeModel } from "../support/fake-model.ts";
import { describeModelContract } from "../support/model-contract.ts";
import { entering } from "./kit.ts";

const recorder = openRecorder({ append: () => {}, content: true, random: () => 0.5 });
const { wraps } = wrapsFor(recorder, []);

describeModelContract("a leaf that is watched", (leaf) => watched(entering(leaf("a")), {}, { content: true, keep: () => {} }));
describeModelContract("a node while history is written", (leaf) => wraps.node(entering(leaf("a"))));

test("without a recorder and a replay nothing stands round a model", () => {
  const model = new FakeModel("a");
  const { wraps, draws } = wrapsFor(undefined, []);
  expect([wraps, draws, wraps.node(model), wraps.leaf(model, {})]).toEqual([bare, undefined, model, model]);
});

describe("draws", () => {
  const some = (random: () => number) => [random(), random(), random()];

  test("of a node repeat whatever was drawn beside it", () => {
    const one = openDraws(7);
    const first = some(one.below("writer"));
    const other = openDraws(7);
    some(other);
    some(other.below("judge"));
    expect(some(other.below("writer"))).toEqual(first);
  });

  test("differ between nodes, between calls of one label, and between seeds", () => {
    const root = openDraws(7);
    const all = [root, root.below("a"), root.below("a"), root.below("b"), openDraws(8)].map((draws) => some(draws).join());
    expect(new Set(all).size).toBe(5);
  });

  test("that can not be repeated are left alone", () => {
    const call = enter(newCall(), { label: "a" });
    expect(withOwnDraws(call)).toBe(call);
    const seeded = enter(newCall({ random: openDraws(7) }), { label: "a" });
    expect(withOwnDraws(seeded).random()).toBe(openDraws(7).below("a")());
  });

  test("of a request are new ones, or those of its recording", () => {
    const request = newRequest();
    const { draws } = wrapsFor(recorder, []);
    expect(draws?.(request, "x")).toHaveProperty("seed", 2 ** 30);
    const tape = { chat: () => new FakeModel("a"), capabilities: () => ({}), recall: () => 77 };
    expect(wrapsFor(undefined, [tape]).draws?.(request, "x")).toHaveProperty("seed", 77);
    expect(wrapsFor(undefined, [{ ...tape, recall: () => undefined }]).draws?.(request, "x")).toBeUndefined();
  });
});

describe("a decision without what was said", () => {
  const root: Span = { label: "request", startMs: 0, status: "ok", children: [] };
  openSpan(root, "alto#2", 0);
  openSpan(root, "bass", 0).upstream = "demo/bass";

  test.each<readonly [decision: object, left: object]>([
    [
      { votes: { Paris: 2, lyon: 1 }, agreement: 0.6, winner: "bass", by: "votes" },
      { votes: { "text 1": 2, "text 2": 1 }, agreement: 0.6, winner: "bass", by: "votes" },
    ],
    [{ votes: { bass: 1 } }, { votes: { bass: 1 } }],
    [{ candidates: { A: "bass", B: "alto#2" } }, { candidates: { A: "bass", B: "alto#2" } }],
    [{ weights: { alto: 2, "demo/bass": 1, paris: 3 } }, { weights: { alto: 2, "demo/bass": 1, "text 1": 3 } }],
    [
      { steps: [{ step: "bass", by: "logprob", measured: -0.3, message: "You said Paris." }] },
      { steps: [{ step: "bass", by: "logprob", measured: -0.3, message: "text 1" }] },
    ],
    [
      { answer: "B", changed: true, none: null, same: ["B", "C", "B"] },
      { answer: "text 1", changed: true, none: null, same: ["text 1", "text 2", "text 1"] },
    ],
  ])("of %j leaves %j", (decision, left) => {
    expect(textRemover(root)({ ...decision })).toEqual(left);
  });
});

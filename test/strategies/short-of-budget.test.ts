import { describe, expect, test } from "vitest";
import { openBudget, unbounded } from "../../src/model/budget.ts";
import type { Call } from "../../src/model/call.ts";
import type { ModelEvent } from "../../src/model/events.ts";
import type { ChatRequest } from "../../src/model/request.ts";
import type { Node } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { buildNode } from "../support/build.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { FakeModel, says, textIn, type Script } from "../support/fake-model.ts";
import { read } from "../support/read.ts";

/** A model whose calls are paid, as `observe` does it round a leaf. */
class Paid extends FakeModel {
  override async *stream(request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
    call.budget.reserve({ usd: 0, tokens: 0 });
    yield* super.stream(request, call);
  }
}

/** Runs a node with a budget of so many calls. */
async function within(calls: number, node: Node, scripts: Readonly<Record<string, Script | readonly Script[]>>) {
  const models = Object.fromEntries(
    Object.entries(scripts).map(([name, script]) => [name, new Paid(name, ...("moves" in script ? [script] : script))]),
  );
  const clock = manualClock();
  const call = newCall({ clock, budget: openBudget({ calls }, unbounded, "smart") });
  const { events, error } = await clock.drive(read(buildNode(node, (name) => models[name]!, strategies).stream(newRequest(), call)));
  const { degraded, warnings } = call.trace;
  const asked = Object.fromEntries(Object.entries(models).map(([name, model]) => [name, model.calls.length]));
  return { text: error ? error.code : textIn(events), degraded, warnings, asked, decision: call.span.decision };
}

const [seven, eight] = [says("The answer is 7."), says("The answer is 8.")];

describe("a panel whose members can not all be paid", () => {
  const scripts = { a: seven, b: seven, c: eight };
  const vote: Node = { kind: "vote", members: ["a", "b", "c"], stop: "none" };

  test("answers with those that could, and says so", async () => {
    expect(await within(3, vote, scripts)).toMatchObject({ degraded: [] });
    expect(await within(2, vote, scripts)).toMatchObject({ text: "The answer is 7.", degraded: ["members: budget_denied, 1 of 3"] });
  });

  test("says so beside a quorum that it missed", async () => {
    const { degraded } = await within(1, vote, scripts);
    expect(degraded).toEqual(["members: budget_denied, 2 of 3", "quorum: 1 of 2 usable answers"]);
  });

  test("fails when none could", async () => {
    expect(await within(0, vote, scripts)).toMatchObject({ text: "budget_denied" });
  });

  test("counts a seat once, however many reserves could not be paid either", async () => {
    const node: Node = { ...vote, quorum: { reserves: ["d"] } };
    expect(await within(2, node, { ...scripts, d: seven })).toMatchObject({ degraded: ["members: budget_denied, 1 of 3"] });
  });
});

describe("a step of judging that can not be paid is not begun", () => {
  const members = { a: says("one two three"), b: says("one two three four"), c: says("nothing alike") };
  const alike = "the medoid candidate was taken";

  test("pairs", async () => {
    const node: Node = { kind: "rank", members: ["a", "b", "c"], by: "pairwise", judge: "j" };
    const scripts = { ...members, j: says('{"best": "A"}') };
    expect(await within(9, node, scripts)).toMatchObject({ asked: { j: 6 }, degraded: [] });
    expect(await within(8, node, scripts)).toMatchObject({ asked: { j: 0 }, degraded: [`pairwise: budget_denied, ${alike}`] });
  });

  test("pairs: what the judge may not compare needs no room", async () => {
    const node: Node = { kind: "rank", members: ["a", "b", "j"], by: "pairwise", judge: "j" };
    const scripts = { a: members.a, b: members.b, j: [says("I am a member."), says('{"best": "A"}')] };
    expect(await within(5, node, scripts)).toMatchObject({ asked: { j: 3 }, degraded: [] });
  });

  test("peers", async () => {
    const node: Node = { kind: "rank", members: ["a", "b", "c"], by: "peers" };
    const order = says('{"order": ["A", "B"]}');
    const scripts = { a: [members.a, order], b: [members.b, order], c: [members.c, order] };
    expect(await within(6, node, scripts)).toMatchObject({ asked: { a: 2, b: 2, c: 2 }, degraded: [] });
    expect(await within(5, node, scripts)).toMatchObject({ asked: { a: 1, b: 1, c: 1 }, degraded: [`peers: budget_denied, ${alike}`] });
  });
});

describe("a gate of a cascade that can not be paid, with the step behind it, is not asked", () => {
  const next = says("I am b.");
  const cascade = (accept: object): Node => ({ kind: "cascade", steps: [{ model: "a", accept }, { model: "b" }] });

  test.each<[string, object, number, Readonly<Record<string, Script | readonly Script[]>>]>([
    ["selfVerify", { by: "selfVerify", samples: 3, min: 0.5 }, 3, { a: [seven, says('{"verdict": "correct"}')], b: next }],
    ["ask", { by: "ask" }, 1, { a: [seven, says('{"verdict": "sure"}')], b: next }],
    ["judge", { by: "judge", judge: "j", min: 7 }, 1, { a: seven, b: next, j: says('{"grade": 9}') }],
  ])("%s", async (by, accept, questions, scripts) => {
    const enough = await within(1 + questions + 1, cascade(accept), scripts);
    expect(enough).toMatchObject({ text: "The answer is 7.", degraded: [] });
    const short = await within(1 + questions, cascade(accept), scripts);
    expect(short).toMatchObject({ text: "I am b.", degraded: [`gate of step 1: budget_denied`], warnings: [] });
    expect(short.asked).toMatchObject({ a: 1, b: 1, ...("j" in scripts ? { j: 0 } : {}) });
    expect(short.decision).toMatchObject({ steps: [{ step: "step 1", outcome: "refused", by, reason: "budget_denied" }, {}] });
  });

  test("and without room for the next step the refused answer stands", async () => {
    const { text, degraded } = await within(1, cascade({ by: "ask" }), { a: [seven, says('{"verdict": "sure"}')], b: next });
    expect([text, degraded.length]).toEqual(["The answer is 7.", 2]);
    expect(degraded[1]).toContain("so the refused answer of step 1 stands");
  });
});

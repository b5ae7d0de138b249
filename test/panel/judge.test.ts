import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/model/errors.ts";
import { openScope } from "../../src/model/scope.ts";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";
import { ask, askAll, bestOf, placesOf, rankAll, type Judge, type Putting, type Question } from "../../src/panel/judging/judge.ts";
import { lettersOf, show } from "../../src/panel/showing.ts";
import { oneOf } from "../../src/panel/judging/verdict.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { fails, FakeModel, says, type Script } from "../support/fake-model.ts";

const down = new GatewayError("upstream_error", "down");
const gone = new GatewayError("client_closed", "The client has left.");

function judgeOf(model: FakeModel, own: readonly string[] = []): Judge {
  return { label: "judge", model, settings: { temperature: 0 }, own: new Set(own) };
}

function questionFor(model: FakeModel, label = "judge"): Question<string> {
  return { label, judge: judgeOf(model), text: "Which?", form: oneOf(["A", "B"]) };
}

const putting: Putting = { prompt: ({ candidates, nonce, form }) => `${nonce}\n${candidates}\n${form}`, maxTokens: 100 };
const items = ["Ann", "Bob", "Cid"].map((text, index) => ({ label: `m${index + 1}`, text }));

async function asked(...scripts: readonly Script[]) {
  const model = new FakeModel("j", ...scripts);
  const reply = await ask(questionFor(model), newRequest(), newCall());
  return { reply, model };
}

describe("a question", () => {
  test("reaches the judge without what shapes the client's answer, and with a schema of its own", async () => {
    const model = new FakeModel("j", says('{"best":"B"}'));
    const request = newRequest({
      n: 3,
      stop: ["x"],
      max_tokens: 5,
      logprobs: true,
      top_logprobs: 2,
      temperature: 1,
      seed: 4,
      tools: [{ type: "function", function: { name: "f" } }],
      tool_choice: "none",
      response_format: { type: "json_schema", json_schema: { name: "client" } },
    });
    expect(await ask(questionFor(model), request, newCall())).toEqual({ ok: true, value: "B" });
    const { body } = model.requests[0]!;
    for (const field of ["n", "stop", "max_tokens", "logprobs", "top_logprobs", "tools", "tool_choice"])
      expect(body).not.toHaveProperty(field);
    expect(body.temperature).toBe(0);
    expect(body.seed).not.toBe(4);
    expect(body.response_format).toMatchObject({ type: "json_schema", json_schema: { name: "verdict", strict: true } });
    expect(body.messages).toEqual([...request.body.messages, { role: "user", content: "Which?" }]);
    expect(model.calls[0]?.delivery).toBe("unary");
  });

  test("is asked once more, in other words, when the reply is no verdict", async () => {
    const { reply, model } = await asked(says("Hard to say."), says("B"));
    expect(reply).toEqual({ ok: true, value: "B" });
    expect(model.requests[1]?.body.messages.at(-1)?.content).toBe(
      'Which?\n\nReply with JSON of this form and nothing else: {"best": "A" | "B"}',
    );
  });

  test.each([says("Hard to say."), says('{"best":"Z"}'), says(""), { moves: [{ refusal: "I will not." }] }])(
    "is asked twice and not more, and then has no verdict (%j)",
    async (script) => {
      const { reply, model } = await asked(script);
      expect(reply).toEqual({ ok: false, why: "no verdict" });
      expect(model.calls).toHaveLength(2);
    },
  );

  test("is not asked again of a judge that fails", async () => {
    const { reply, model } = await asked(fails(down));
    expect(reply).toEqual({ ok: false, why: "upstream_error" });
    expect(model.calls).toHaveLength(1);
  });

  test("is asked in words of a judge that refuses the schema", async () => {
    const { reply, model } = await asked(fails(new GatewayError("upstream_invalid", "no response_format")), says("A"));
    expect(reply).toEqual({ ok: true, value: "A" });
    expect(model.requests[1]?.body).not.toHaveProperty("response_format");
    expect(model.calls).toHaveLength(2);
  });

  test("has no verdict after its deadline, and asks nobody then", async () => {
    const clock = manualClock();
    const call = newCall({ clock });
    using scope = openScope(call.signal);
    const model = new FakeModel("j", { moves: ["stall"] });
    clock.timer(50, () => scope.abort(new GatewayError("upstream_timeout", "late")));
    const options = { signal: scope.signal };
    expect(await clock.drive(ask(questionFor(model), newRequest(), call, options))).toEqual({ ok: false, why: "deadline" });
    expect(await ask(questionFor(model), newRequest(), call, options)).toEqual({ ok: false, why: "deadline" });
    expect([model.calls.length, model.open, model.cancelled]).toEqual([1, 0, 1]);
  });

  test("throws when the call is aborted, after all that were asked have ended", async () => {
    const clock = manualClock();
    const controller = new AbortController();
    const model = new FakeModel("j", { moves: ["stall"] });
    clock.timer(10, () => controller.abort(gone));
    const call = newCall({ clock, signal: controller.signal });
    const all = askAll([questionFor(model, "one"), questionFor(model, "two")], newRequest(), call);
    await expect(clock.drive(all)).rejects.toBe(gone);
    expect([model.open, model.cancelled]).toEqual([0, 2]);
  });

  test("has attempts of its own: many at once do not use up one slot", async () => {
    const model = new FakeModel("j", says("A"));
    const call = newCall({ slot: newSlot(newRetryBudget(), 2) });
    await askAll([questionFor(model, "one"), questionFor(model, "two"), questionFor(model, "three")], newRequest(), call);
    expect(new Set(model.calls.map(({ slot }) => slot)).size).toBe(3);
  });
});

describe("candidates", () => {
  test("are shown in an order that the seed repeats, and another for another purpose", () => {
    const many = Array.from({ length: 8 }, (_, index) => ({ label: `m${index}`, text: `t${index}` }));
    const order = (seed: number, purpose: string, random = () => 0.3) =>
      Object.values(lettersOf(show(many, { maxTokens: 50, purpose }, newRequest({ seed }), newCall({ random })))).join();
    expect(order(1, "x")).toBe(order(1, "x", () => 0.9));
    expect(order(1, "x")).not.toBe(order(1, "y"));
    expect(order(1, "x")).not.toBe(order(2, "x"));
  });

  test("keep the given order where both are asked, and are cut to one length", () => {
    const { candidates, letters, nonce } = show(
      [
        { label: "a", text: "x".repeat(100) },
        { label: "b", text: "<think>me</think>short" },
      ],
      { maxTokens: 16, asGiven: true },
      newRequest(),
      newCall(),
    );
    expect(letters.map(({ label, item }) => label + item.label)).toEqual(["Aa", "Bb"]);
    expect(candidates).toBe(
      `--- answer A, mark ${nonce} ---\n${"x".repeat(64)}\n[the rest was cut]\n--- end of answer A, mark ${nonce} ---\n\n` +
        `--- answer B, mark ${nonce} ---\nshort\n--- end of answer B, mark ${nonce} ---`,
    );
  });
});

describe("the best of several", () => {
  const sitting = () => ({ request: newRequest({ seed: 1 }), call: newCall() });

  test("is who stands under the letter that the judge names", async () => {
    const model = new FakeModel("j", says('{"best":"B"}'));
    const picked = await bestOf([judgeOf(model)], items, putting, sitting());
    expect(picked).toMatchObject({ ok: true, failed: [] });
    if (picked.ok) expect(picked.winner.label).toBe(picked.letters["B"]);
  });

  test("is never the judge's own, which it is not shown", async () => {
    const model = new FakeModel("j", says("A"));
    const picked = await bestOf([judgeOf(model, ["m2"])], items, putting, sitting());
    expect(picked.ok && Object.values(picked.letters).sort()).toEqual(["m1", "m3"]);
    expect(model.requests[0]?.body.messages.at(-1)?.content).not.toContain("Bob");
  });

  test("is asked of the next judge when one fails, has no verdict or nothing to compare", async () => {
    const [first, second, third, last] = [fails(down), says("?"), says("A"), says("A")].map((script) => new FakeModel("j", script));
    const jury = [judgeOf(first!), judgeOf(second!), judgeOf(third!, ["m1", "m2"]), judgeOf(last!)];
    const picked = await bestOf(jury, items, putting, sitting());
    expect(picked.failed).toEqual(["upstream_error", "no verdict", "fewer than two answers that are not its own"]);
    expect(picked.ok && picked.judge).toBe(jury[3]);
    expect([first, second, third, last].map((model) => model?.calls.length)).toEqual([1, 2, 0, 1]);
  });

  test("is nobody's when no judge has a verdict", async () => {
    expect(await bestOf([judgeOf(new FakeModel("j", fails(down)))], items, putting, sitting())).toEqual({
      ok: false,
      failed: ["upstream_error"],
    });
  });
});

describe("an order of all", () => {
  test("gives places; those left out share the mean of the last ones", () => {
    const shown = show(
      ["a", "b", "c", "d"].map((label) => ({ label, text: label })),
      { maxTokens: 50, asGiven: true },
      newRequest(),
      newCall(),
    );
    const places = (order: readonly string[]) => Object.fromEntries(placesOf(shown, order).map(({ item, place }) => [item.label, place]));
    expect(places(["C", "A", "D", "B"])).toEqual({ c: 1, a: 2, d: 3, b: 4 });
    expect(places(["C"])).toEqual({ c: 1, a: 3, b: 3, d: 3 });
    expect(places(["C", "A"])).toEqual({ c: 1, a: 2, b: 3.5, d: 3.5 });
  });

  test("is asked of each ranker over an order of its own", async () => {
    const many = Array.from({ length: 8 }, (_, index) => ({ label: `m${index}`, text: `t${index}` }));
    const model = new FakeModel("g", says('{"order":["A"]}'));
    const rankers = ["r0", "r1"].map((label) => ({ judge: judgeOf(model), label, items: many }));
    const [first, second] = await rankAll(rankers, putting, { request: newRequest({ seed: 3 }), call: newCall() });
    expect(first?.ok && second?.ok).toBe(true);
    if (first?.ok && second?.ok) expect(first.value.letters).not.toEqual(second.value.letters);
  });

  test("is asked of all at once; who fails is a value", async () => {
    const good = new FakeModel("g", says('{"order":["B","A","C"]}'));
    const bad = new FakeModel("b", says('{"order":["B","Z"]}'));
    const rankers = [good, bad].map((model, index) => ({ judge: judgeOf(model), label: `r${index}`, items }));
    const [first, second] = await rankAll(rankers, putting, { request: newRequest({ seed: 3 }), call: newCall() });
    expect(first?.ok && first.value.places.map(({ item }) => item.label)).toEqual(
      first?.ok && ["B", "A", "C"].map((letter) => first.value.letters[letter]),
    );
    expect(second).toEqual({ ok: false, why: "no verdict" });
    expect(bad.calls).toHaveLength(2);
  });
});

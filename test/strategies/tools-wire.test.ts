/** Turns with tools of a panel, on the wire: what members are sent, what the client gets, whole and streamed, and what it says of it. */
import { describe, expect, onTestFinished, test } from "vitest";
import { messages, startPair } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";
import { completionJson, errorJson, frame, json, sse, stall, usage, type Script, type Scripts } from "../support/upstream.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Digits that no double holds, an order of keys and white space: what nobody may write anew. */
const ARGUMENTS = '{"b": 9007199254740993,\t"a":2.0}';

interface Called {
  readonly name?: string;
  readonly text?: string;
  readonly fields?: Fields;
}

function toCall({ name = "add", text = ARGUMENTS, fields = {} }: Called, nth: number) {
  return { id: `call_${nth}`, type: "function", function: { name, arguments: text }, ...fields } as const;
}

/** A server that makes these calls, after `content` where there is some; a choice for each that is asked for. */
function calling(called: readonly Called[], content: string | null = null, fields: Fields = {}): Script {
  const calls = called.map(toCall);
  const reason = calls.length > 0 ? "tool_calls" : "stop";
  return (exchange) => {
    const { json: body } = exchange.request;
    const indexes = Array.from({ length: typeof body["n"] === "number" ? body["n"] : 1 }, (_, index) => index);
    const message = { ...fields, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
    if (body["stream"] !== true) {
      const whole = completionJson(content, { message, choice: { finish_reason: reason } }) as { readonly choices: readonly object[] };
      return json(200, { ...whole, choices: indexes.map((index) => ({ ...whole.choices[0], index })) })(exchange);
    }
    const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m" };
    const chunk = (delta: object, finish: string | null = null) =>
      indexes.map((index) => frame({ ...head, choices: [{ index, delta, logprobs: null, finish_reason: finish }] }));
    const frames = calls.flatMap(({ function: { arguments: text, name }, ...call }, index) => [
      ...chunk({ tool_calls: [{ index, ...call, function: { name, arguments: "" } }] }),
      ...(text.match(/[^]{1,7}/g) ?? []).flatMap((part) => chunk({ tool_calls: [{ index, function: { arguments: part } }] })),
    ]);
    const end = frame({ ...head, choices: [], usage });
    const opening = chunk({ role: "assistant", content, ...fields });
    return sse([...opening, ...frames, ...chunk({}, reason), end, frame("[DONE]")])(exchange);
  };
}

const one = calling([{ text: '{"a":1}' }]);
const two = calling([{ text: '{"a":2}' }]);
const words = calling([], "The answer is 4.");
const down = json(503, errorJson("Busy."));
const picks = (letter: string) => json(200, completionJson(JSON.stringify({ best: letter })));

const add = {
  type: "function",
  function: { name: "add", parameters: { type: "object", properties: { a: { type: "number" } } }, strict: true },
};
const send = { type: "function", function: { name: "send" } };

const members = ["up/a", "up/b", "up/c"];
const policies: Readonly<Record<string, object>> = {
  owner: {},
  vote: { policy: "vote" },
  select: { policy: "select", judge: "up/j" },
  advise: { policy: "advise", owner: "up/o" },
  refuse: { policy: "refuse" },
};
const models = Object.fromEntries(Object.entries(policies).map(([name, tools]) => [name, { kind: "vote", members, tools }]));

async function start(scripts: Scripts, config: Fields = {}, provider: Fields = {}) {
  const pair = await startPair(
    { j: picks("A"), o: one, ...scripts },
    { onFinished: onTestFinished, provider, config: { models, ...config } },
  );
  const asked = (name: string) => pair.upstream.requests.filter(({ model }) => model === name);
  return { ...pair, asked };
}

type Started = Awaited<ReturnType<typeof start>>;

interface Answer {
  readonly message: Fields;
  readonly reason: unknown;
  /** As it came. */
  readonly text: string;
}

/** The same turn whole and streamed. */
async function both({ gateway }: Started, model: string, fields: Fields = {}): Promise<readonly [whole: Answer, streamed: Answer]> {
  const whole = await (await gateway.chat({ model, tools: [add, send], ...fields })).text();
  const [choice] = (JSON.parse(whole) as { choices: [{ message: Fields; finish_reason: string }] }).choices;
  const streamed = await (await gateway.chat({ model, tools: [add, send], stream: true, ...fields })).text();
  expect(validateStream(streamed, { usage: false })).toEqual([]);
  const [told] = accumulate(streamed).choices;
  return [
    { message: choice.message, reason: choice.finish_reason, text: whole },
    { message: told?.message ?? {}, reason: told?.finish_reason, text: streamed },
  ];
}

const asking = ["owner", "vote", "select", "advise"];

describe.each(asking)("a call by %s", (policy) => {
  test("goes out as its maker wrote it: arguments, words, thoughts and fields that nobody knows", async () => {
    const signed = { extra_content: { google: { thought_signature: "c2ln" } } };
    const script = calling([{ fields: signed }, { name: "send", text: "{}" }], "Let me add.", { reasoning_content: "Hm." });
    const started = await start({ a: script, b: script, c: script, o: script });
    for (const { message, reason, text } of await both(started, policy)) {
      expect(reason).toBe("tool_calls");
      expect(message).toMatchObject({ role: "assistant", content: "Let me add.", reasoning_content: "Hm." });
      const calls = message["tool_calls"] as readonly { readonly id: string }[];
      expect(calls).toMatchObject([
        { ...signed, function: { name: "add", arguments: ARGUMENTS } },
        { function: { name: "send", arguments: "{}" } },
      ]);
      expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
      expect(text).not.toContain("9007199254740992");
    }
  });

  test("is asked for with the tools as the client wrote them", async () => {
    const tools = String.raw`[ {"type":"function", "function":{"name":"add","strict":true,"parameters":{"const":9007199254740993,"x":1e2}}} ]`;
    const script = calling([{}]);
    const started = await start({ a: script, b: script, c: script, o: script });
    const { gateway, upstream } = started;
    const text = `{"model":"${policy}","messages":${JSON.stringify(messages)},"tools":${tools},"tool_choice": {"type":"function","function":{"name":"add"}},"parallel_tool_calls":false}`;
    expect((await gateway.chat(text)).status).toBe(200);
    const sent = upstream.requests.filter(({ json: body }) => body["tools"] !== undefined);
    expect(sent.map(({ model = "" }) => model).toSorted((x, y) => x.localeCompare(y))).toEqual(
      policy === "owner" ? ["a"] : policy === "advise" ? ["o"] : ["a", "b", "c"],
    );
    for (const { body } of sent) {
      expect(body.toString()).toContain(`"tools":${tools}`);
      expect(body.toString()).toContain('"tool_choice": {"type":"function","function":{"name":"add"}},"parallel_tool_calls":false');
    }
  });

  test("is made in each of several choices", async () => {
    const started = await start({ a: one, b: one, c: policy === "select" ? one : two, o: one });
    const { gateway } = started;
    const whole = (await (await gateway.chat({ model: policy, tools: [add], n: 2 })).json()) as { readonly choices: readonly object[] };
    const expected = { tool_calls: [{ function: { arguments: '{"a":1}' } }] };
    expect(whole.choices).toMatchObject([
      { index: 0, message: expected },
      { index: 1, message: expected },
    ]);
    const text = await (await gateway.chat({ model: policy, tools: [add], n: 2, stream: true })).text();
    expect(validateStream(text, { usage: false })).toEqual([]);
    expect(accumulate(text).choices.map(({ message }) => message)).toMatchObject([expected, expected]);
  });
});

describe("what a turn demands", () => {
  const allowed = (mode: string) => ({
    type: "allowed_tools",
    allowed_tools: { mode, tools: [{ type: "function", function: { name: "send" } }] },
  });
  const sends = calling([{ name: "send", text: "{}" }]);
  const rows: readonly (readonly [string, Fields, Scripts, object])[] = [
    ["auto, and most talk", { tool_choice: "auto" }, { a: one, b: words, c: words }, { content: "The answer is 4." }],
    [
      "required, and most talk",
      { tool_choice: "required" },
      { a: words, b: words, c: two },
      { tool_calls: [{ function: { name: "add" } }] },
    ],
    ["a named tool", { tool_choice: send }, { a: one, b: one, c: sends }, { tool_calls: [{ function: { name: "send" } }] }],
    [
      "tools that are allowed",
      { tool_choice: allowed("auto") },
      { a: one, b: one, c: sends },
      { tool_calls: [{ function: { name: "send" } }] },
    ],
    [
      "one of those allowed",
      { tool_choice: allowed("required") },
      { a: words, b: one, c: sends },
      { tool_calls: [{ function: { name: "send" } }] },
    ],
    [
      "one call",
      { parallel_tool_calls: false },
      { a: calling([{}, {}]), b: calling([{}, {}]), c: two },
      { tool_calls: [{ function: { arguments: '{"a":2}' } }] },
    ],
    [
      "a tool that there is",
      {},
      { a: calling([{ name: "rm" }]), b: calling([{ name: "rm" }]), c: two },
      { tool_calls: [{ function: { name: "add" } }] },
    ],
  ];
  describe.each(["vote", "select"])("holds by %s:", (policy) => {
    test.each(rows)("%s", async (_, fields, scripts, expected) => {
      for (const { message } of await both(await start({ ...scripts, j: picks("Z") }), policy, fields))
        expect(message).toMatchObject(expected);
    });
  });

  test.each(Object.keys(policies))("none: by %s it is the panel's own turn, and members still see the tools", async (policy) => {
    const started = await start({ a: words, b: words, c: calling([], "It is 5.") });
    for (const { message, reason } of await both(started, policy, { tool_choice: "none" }))
      expect([message["content"], reason]).toEqual(["The answer is 4.", "stop"]);
    for (const { json: body } of started.asked("a")) expect(body).toMatchObject({ tool_choice: "none", tools: [add, send] });
  });

  test("a legacy function by name, and none", async () => {
    const whole = (name: string, text: string) =>
      json(
        200,
        completionJson(null, { message: { function_call: { name, arguments: text } }, choice: { finish_reason: "function_call" } }),
      );
    const started = await start(
      { a: whole("add", "{}"), b: whole("add", "{}"), c: whole("send", "{}") },
      { models: { vote: { ...models["vote"], stop: "none" } } },
    );
    const functions = [{ name: "add" }, { name: "send" }];
    const response = await started.gateway.chat({ model: "vote", functions, function_call: { name: "send" } });
    expect(await response.json()).toMatchObject({
      choices: [{ message: { function_call: { name: "send", arguments: "{}" } }, finish_reason: "function_call" }],
    });
    started.upstream.script({ a: words, b: words, c: words });
    const none = await started.gateway.chat({ model: "vote", functions, function_call: "none" });
    expect(await none.json()).toMatchObject({ choices: [{ message: { content: "The answer is 4." } }] });
  });

  test("policy refuse names the parameter, before anybody is asked", async () => {
    const { gateway, upstream } = await start({});
    for (const [param, fields] of [
      ["tools", { tools: [add] }],
      ["functions", { functions: [{ name: "add" }] }],
    ] as const) {
      const response = await gateway.chat({ model: "refuse", ...fields });
      expect([response.status, await response.json()]).toMatchObject([400, { error: { param, type: "invalid_request_error" } }]);
    }
    expect(upstream.requests).toHaveLength(0);
  });
});

describe("when members fail", () => {
  test.each(["vote", "select"])("by %s: all of them, the client is told of each", async (policy) => {
    const nobody = { vote: { kind: "vote", members: [...members, "up/d"], onShort: "fail", tools: policies[policy] } };
    const wrong = calling([{ text: '{"a":"a secret"}' }]);
    const started = await start({ a: down, b: calling([{ name: "rm" }]), c: calling([], ""), d: wrong }, { models: nobody });
    const response = await started.gateway.chat({ model: "vote", tools: [add], stream: true });
    const { error } = (await response.json()) as { readonly error: { readonly message: string } };
    expect([response.status, response.headers.get("x-should-retry")]).toEqual([502, "false"]);
    expect(error.message).toBe(
      [
        "vote has 0 of 3 usable answers: up/a: upstream_overloaded (HTTP 503)",
        "up/b: unusable_answer (it calls a tool that is not offered)",
        "up/c: unusable_answer (it is empty)",
        "up/d: unusable_answer (its arguments can not be used)",
      ].join("; "),
    );
    expect(started.asked("j")).toHaveLength(0);
  });

  test.each(["vote", "select"])("by %s: all of them by one limit, with its status", async (policy) => {
    const limited = (seconds: string) => json(429, errorJson("Slow down."), { "retry-after": seconds });
    const { gateway } = await start({ a: limited("9"), b: limited("3"), c: limited("7") });
    const response = await gateway.chat({ model: policy, tools: [add] });
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "3"]);
  });

  test("by vote: one that is left answers, marked", async () => {
    const started = await start({ a: down, b: down, c: two });
    const response = await started.gateway.chat({ model: "vote", tools: [add] });
    expect(response.headers.get("x-chorale-degraded")).toBe("quorum: 1 of 2 usable answers");
    expect(await response.json()).toMatchObject({ choices: [{ message: { tool_calls: [{ function: { arguments: '{"a":2}' } }] } }] });
  });

  test.each<readonly [string, Script, number]>([
    ["is down", down, 1],
    ["names a letter that nobody has", picks("Q"), 2],
    ["writes a call of its own", calling([{ text: '{"a":99}' }]), 2],
  ])("by select: the majority decides where the judge %s, marked", async (_, j, count) => {
    const started = await start({ a: one, b: two, c: two, j });
    const response = await started.gateway.chat({ model: "select", tools: [add], stream: true });
    expect(response.headers.get("x-chorale-degraded")).toMatch(/^tools: .*, the majority decided$/);
    expect(accumulate(await response.text()).choices[0]?.message).toMatchObject({ tool_calls: [{ function: { arguments: '{"a":2}' } }] });
    expect(started.asked("j")).toHaveLength(count);
    for (const { json: body } of started.asked("j")) expect(body["tools"]).toBeUndefined();
  });

  test("by vote: who can change nothing any more is not waited for, and is let go", async () => {
    const started = await start({ a: two, b: two, c: stall({ after: "head" }) });
    const response = await started.gateway.chat({ model: "vote", tools: [add], chorale: { expose: "summary" } });
    const body = (await response.json()) as { readonly chorale: { readonly members: readonly Fields[]; readonly decision: Fields } };
    expect(body.chorale.decision).toMatchObject({ winner: "up/a", agreement: 2 / 3, early: "the leader can not be caught" });
    expect(body.chorale.members).toMatchObject([{ status: "ok" }, { status: "ok" }, { status: "lost" }]);
    expect(await started.asked("c")[0]?.closed).toMatchObject({ complete: false });
  });
});

const prices = Object.fromEntries(["a", "b", "c", "j", "o"].map((name) => [name, { in: 1, out: 1 }]));

describe("what it cost", () => {
  // Each call is told as 7 + 3 tokens.
  test.each([
    ["owner", 1],
    ["vote", 3],
    ["select", 4],
    ["advise", 4],
  ])("by %s is the sum of %i calls, whole and streamed", async (policy, count) => {
    const { gateway, upstream } = await start({ a: one, b: two, c: words, j: picks("A"), o: one }, {}, { prices });
    const expected = { prompt_tokens: 7 * count, completion_tokens: 3 * count, total_tokens: 10 * count };
    const advisors = policy === "advise" ? { a: words, b: words } : {};
    upstream.script(advisors);
    const response = await gateway.chat({ model: policy, tools: [add] });
    expect(await response.json()).toMatchObject({ usage: expected });
    expect(Number(response.headers.get("x-chorale-cost-usd"))).toBeCloseTo(count * 10e-6, 12);
    expect(upstream.requests).toHaveLength(count);
    const streamed = await (
      await gateway.chat({ model: policy, tools: [add], stream: true, stream_options: { include_usage: true } })
    ).text();
    expect(validateStream(streamed, { usage: true })).toEqual([]);
    expect(accumulate(streamed).usage).toMatchObject(expected);
    const id = response.headers.get("x-request-id");
    const record = (await (await gateway.get(`/v1/chorale/requests/${id}`)).json()) as Fields;
    expect(record["costUsd"]).toBeCloseTo(count * 10e-6, 12);
  });
});

describe("within a budget of calls", () => {
  test.each<readonly [string, number, string]>([
    ["vote", 2, "members: budget_denied, 1 of 3"],
    ["vote", 1, "members: budget_denied, 2 of 3; quorum: 1 of 2 usable answers"],
    ["select", 3, "tools: budget_denied, the majority decided"],
    ["advise", 3, "advice: budget_denied"],
    ["owner", 1, ""],
  ])("by %s of %i the best that it allows goes out, marked as %j", async (policy, most, degraded) => {
    const scripts = { a: one, b: policy === "vote" ? one : two, c: two };
    const started = await start(scripts, { models: { poor: { ...models[policy], budget: { calls: most } } } });
    const response = await started.gateway.chat({ model: "poor", tools: [add] });
    expect(await response.json()).toMatchObject({ choices: [{ message: { tool_calls: [{ function: { name: "add" } }] } }] });
    expect(response.headers.get("x-chorale-degraded") ?? "").toBe(degraded);
    expect(started.upstream.requests.length).toBeLessThanOrEqual(most);
  });
});

describe("what is told of it", () => {
  const told = async (started: Started, policy: string, expose: string) => {
    const response = await started.gateway.chat({ model: policy, tools: [add], chorale: { expose } });
    const { chorale } = (await response.json()) as { readonly chorale: Fields };
    return { chorale, model: response.headers.get("x-chorale-model"), strategy: response.headers.get("x-chorale-strategy") };
  };

  test("the votes of each step, and whose call it is", async () => {
    const started = await start({ a: one, b: two, c: two });
    const { chorale, model, strategy } = await told(started, "vote", "summary");
    expect([model, strategy]).toEqual(["up/b", "vote"]);
    expect(chorale["decision"]).toEqual({
      kind: "vote",
      tools: "vote",
      winner: "up/b",
      agreement: 2 / 3,
      votes: { turn: { calls: 3 }, names: { add: 3 }, calls: { 'add({"a":2})': 2, 'add({"a":1})': 1 } },
    });
    expect(JSON.stringify(chorale)).not.toContain('"trace"');
  });

  test("in full what each would have called", async () => {
    const { chorale } = await told(await start({ a: one, b: words, c: two }), "vote", "full");
    expect(chorale["trace"]).toMatchObject({
      children: [{ calls: 'add({"a":1})' }, { text: "The answer is 4." }, { calls: 'add({"a":2})' }],
    });
  });

  test("which letter a judge picked, and whose it was", async () => {
    const { chorale, model } = await told(await start({ a: one, b: two, c: two }), "select", "summary");
    const decision = chorale["decision"] as { readonly letters: Readonly<Record<string, string>>; readonly winner: string };
    expect(decision).toMatchObject({ tools: "select", by: "judge", judge: "judge" });
    expect([decision.letters["A"], model]).toEqual([decision.winner, decision.winner]);
  });

  test("who advised whom", async () => {
    const { chorale, model } = await told(await start({ a: words, b: words, c: words }), "advise", "summary");
    expect(chorale["decision"]).toMatchObject({ tools: "advise", owner: "up/o" });
    expect(model).toBe("up/o");
  });

  test("nothing that was said, in logs and records", async () => {
    const secret = calling([{ name: "add", text: '{"a":"a secret"}' }]);
    const started = await start({ a: secret, b: secret, c: secret });
    const response = await started.gateway.chat({ model: "vote", tools: [add], chorale: { expose: "full" } });
    expect(await response.text()).toContain("a secret");
    expect(response.headers.get("x-chorale-degraded")).toBe("quorum: 0 of 2 usable answers; tools: no call fits its schema");
    const record = await (await started.gateway.get(`/v1/chorale/requests/${response.headers.get("x-request-id")}`)).text();
    expect(record).toContain("tools: no call fits its schema");
    for (const kept of [record, JSON.stringify(started.gateway.logs)]) expect(kept).not.toMatch(/a secret|#\/a/);
  });
});

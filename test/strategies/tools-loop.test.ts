/** Whole loops of an agent, by the official client, over real gateways: each turn may reach another one, which knows nothing of those before. */
import type { RunnableToolFunctionWithoutParse } from "openai/lib/RunnableFunction";
import { describe, expect, onTestFinished, test } from "vitest";
import { messages, startPair } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, errorJson, frame, json, sse, type Script, type Scripts } from "../support/upstream.ts";

interface Turn {
  readonly role: string;
  readonly content?: unknown;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly { readonly id: string }[];
}

/** Digits that a double can not hold and white space: what nobody may write anew. */
const ARGUMENTS = '{"b": 9007199254740993, "a":2.0}';

/** How often a worker calls before it answers. */
const STEPS = 2;

/** Calls `add` until it has two results, then answers; without tools it answers at once. A strict one takes only ids of its own making. */
function worker(name: string, { strict = false }: { readonly strict?: boolean } = {}): Script {
  return (exchange) => {
    const { json: body } = exchange.request;
    const turns = body["messages"] as readonly Turn[];
    const ids = turns.flatMap(({ tool_call_id: id, tool_calls: calls = [] }) => [
      ...(id === undefined ? [] : [id]),
      ...calls.map((call) => call.id),
    ]);
    const foreign = strict ? ids.find((id) => !id.startsWith(`call_${name}_`) || id.length > `call_${name}_0`.length) : undefined;
    if (foreign !== undefined) return json(400, errorJson(`${foreign} is no call of ${name}'s.`))(exchange);
    const done = turns.filter(({ role }) => role === "tool").length;
    const calls = Array.isArray(body["tools"]) && body["tool_choice"] !== "none" && done < STEPS;
    const text = calls ? "" : `${name} says: The answer is 4.`;
    const call = { id: `call_${name}_${done}`, name: "add", arguments: [ARGUMENTS.slice(0, 5), ARGUMENTS.slice(5)] };
    if (body["stream"] === true) {
      const { stream_options: options } = body as { readonly stream_options?: { readonly include_usage?: boolean } };
      const usage = options?.include_usage === true;
      return sse(chunkStream(calls ? [] : [text], { ...(calls ? { tools: [call] } : {}), ...(usage ? { usage: {} } : {}) }))(exchange);
    }
    const message = { tool_calls: [{ id: call.id, type: "function", function: { name: "add", arguments: ARGUMENTS } }] };
    return json(200, calls ? completionJson(null, { message, choice: { finish_reason: "tool_calls" } }) : completionJson(text))(exchange);
  };
}

/** Two gateways of one config over one upstream, and a client that asks them in turn. */
async function start(models: Readonly<Record<string, unknown>>, { strict = false } = {}) {
  const onFinished = onTestFinished;
  // What comes first would be first again, were a loop not kept where it began.
  const busy = (name: string): Script | readonly [Script, Script] =>
    strict ? [json(503, errorJson("Busy.")), worker(name, { strict })] : worker(name);
  const scripts: Scripts = {
    a: busy("a"),
    b: worker("b", { strict }),
    c: busy("c"),
    j: [json(200, completionJson('{"best": "B"}')), json(200, completionJson('{"best": "A"}'))],
  };
  const { upstream, gateway } = await startPair(scripts, { onFinished, config: { models } });
  const { gateway: other } = await startPair({}, { onFinished, provider: { baseUrl: upstream.url }, config: { models } });
  let turn = 0;
  const client = gateway.client({
    fetch: (url, init) => {
      turn += 1;
      return fetch(
        (url instanceof Request ? url.url : url.toString()).replace(gateway.origin, turn % 2 === 1 ? gateway.origin : other.origin),
        init,
      );
    },
  });
  const asked = (name: string) => upstream.requests.filter(({ model }) => model === name).length;
  return { upstream, gateway, client, asked };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Runs the loop to its end and tells what came out, and the arguments that the client's tool was given. */
async function loop({ client }: Started, model: string, stream: boolean, fields: object = {}) {
  const given: string[] = [];
  const tool: RunnableToolFunctionWithoutParse = {
    type: "function",
    function: {
      name: "add",
      description: "Adds two numbers.",
      parameters: { type: "object", properties: { a: { type: "number" }, b: { type: "number" } } },
      function: (text) => {
        given.push(text);
        return "4";
      },
    },
  };
  const body = { model, messages: [...messages], tools: [tool], ...fields };
  const runner = stream ? client.chat.completions.runTools({ ...body, stream: true }) : client.chat.completions.runTools(body);
  const content = await runner.finalContent();
  const ids = runner.messages.flatMap((message) => (message.role === "tool" ? [message.tool_call_id] : []));
  return { content, given, ids };
}

const policies: Readonly<Record<string, object>> = {
  owner: { policy: "owner" },
  vote: { policy: "vote" },
  select: { policy: "select", judge: "up/j" },
  advise: { policy: "advise", owner: "up/b" },
};

const trees: Readonly<Record<string, (tools: object) => object>> = {
  vote: (tools) => ({ kind: "vote", members: ["up/a", "up/b", "up/c"], tools }),
  fuse: (tools) => ({ kind: "fuse", members: ["up/a", "up/b"], writer: "up/c", tools }),
  "fuse over vote and balance": (tools) => ({
    kind: "fuse",
    members: [
      { kind: "vote", members: ["up/a", "up/b", "up/c"], tools },
      { kind: "balance", members: ["up/a", "up/b"] },
    ],
    writer: { kind: "fallback", members: ["up/c", "up/a"] },
    tools,
  }),
};

describe.each(Object.keys(trees))("an agent's loop over %s", (tree) => {
  describe.each(Object.keys(policies))("by %s", (policy) => {
    test.each([false, true])("ends in words, each turn at another gateway (stream: %s)", async (stream) => {
      const started = await start({ smart: trees[tree]?.(policies[policy] ?? {}) });
      const { content, given, ids } = await loop(started, "smart", stream);
      expect(content).toContain("The answer is 4.");
      expect(given, "to the byte").toEqual([ARGUMENTS, ARGUMENTS]);
      expect(new Set(ids).size).toBe(2);
      for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
    });

    test("gives streams that every client can read", async () => {
      const { gateway } = await start({ smart: trees[tree]?.(policies[policy] ?? {}) });
      const tools = [{ type: "function", function: { name: "add" } }];
      const text = await (await gateway.chat({ model: "smart", stream: true, tools })).text();
      expect(validateStream(text, { usage: false })).toEqual([]);
      expect(text).toContain('"finish_reason":"tool_calls"');
    });
  });
});

describe("calls of a loop", () => {
  const vote = trees["vote"];

  test("by an owner: one each turn", async () => {
    const started = await start({ smart: vote?.({ policy: "owner" }) });
    await loop(started, "smart", true);
    expect([started.asked("a"), started.asked("b"), started.asked("c")]).toEqual([3, 0, 0]);
  });

  test("by vote: none more than the members, and each is asked with the tools as the client wrote them", async () => {
    const started = await start({ smart: vote?.({ policy: "vote" }) });
    await loop(started, "smart", false);
    expect(started.upstream.requests.length).toBeLessThanOrEqual(9);
    for (const { json: body } of started.upstream.requests) expect(body["tools"]).toMatchObject([{ function: { name: "add" } }]);
  });

  test("by select: nobody is asked to judge what all would do", async () => {
    const started = await start({ smart: vote?.({ policy: "select", judge: "up/j" }) });
    await loop(started, "smart", false);
    expect([started.asked("a"), started.asked("b"), started.asked("c"), started.asked("j")]).toEqual([3, 3, 3, 0]);
  });

  test("by advice: the owner alone sees tools, and reads the advice behind the conversation", async () => {
    const started = await start({ smart: trees["fuse"]?.({ policy: "advise" }) });
    await loop(started, "smart", true);
    expect([started.asked("a"), started.asked("b"), started.asked("c")]).toEqual([3, 3, 3]);
    for (const { model, json: body } of started.upstream.requests) {
      expect(body["tools"] === undefined, model).toBe(model !== "c");
      const last = (body["messages"] as readonly Turn[]).at(-1);
      expect(last).toMatchObject({
        role: "user",
        content: expect.stringContaining(model === "c" ? "The answer is 4." : '"name":"add"') as string,
      });
    }
  });
});

describe("a loop stays with who began it, without state", () => {
  const pool = (kind: string, members: readonly unknown[], fields: object = {}) => ({ kind, members, ...fields });

  const one = { failover: 1, restMs: 0 };

  test.each<readonly [string, object]>([
    ["balance", pool("balance", ["up/a", "up/b", "up/c"], one)],
    ["fallback", pool("fallback", ["up/a", "up/b"])],
    ["race, all at once", pool("race", ["up/a", "up/b"], { staggerMs: 0 })],
    ["race", pool("race", ["up/a", "up/b"], { staggerMs: 50 })],
    ["balance over balance", pool("balance", [pool("balance", ["up/b", "up/a"], one), pool("balance", ["up/c", "up/b"], one)], one)],
    ["the owner of a vote", { ...pool("vote", ["up/a", "up/b", "up/c"]), tools: { owner: pool("balance", ["up/c", "up/b"], one) } }],
    [
      "the writer of a fuse",
      { ...pool("fuse", ["up/a", "up/b"]), writer: pool("fallback", ["up/c", pool("balance", ["up/b", "up/a"], one)]) },
    ],
    [
      "a route by prompt",
      {
        kind: "route",
        by: "prompt",
        router: "up/j",
        members: [
          { model: "up/a", description: "x" },
          { model: "up/b", description: "y" },
        ],
        ttlSeconds: 0,
      },
    ],
  ])("over %s, though each server knows its own ids alone", async (_, node) => {
    for (const stream of [false, true]) {
      const started = await start({ smart: node }, { strict: true });
      const { content, given } = await loop(started, "smart", stream);
      expect(content).toContain("The answer is 4.");
      expect(given).toHaveLength(2);
    }
  });

  test("and goes on elsewhere when that one is gone", async () => {
    const started = await start({ smart: pool("fallback", ["up/a", "up/b"]) });
    const { client, upstream } = started;
    const tools = [{ type: "function", function: { name: "add" } }] as const;
    const first = await client.chat.completions.create({ model: "smart", messages: [...messages], tools: [...tools] });
    const message = first.choices[0]?.message;
    const [call] = message?.tool_calls ?? [];
    upstream.script({ a: json(503, errorJson("Busy.")) });
    const turns = [...messages, message!, { role: "tool", tool_call_id: call?.id ?? "", content: "4" }] as const;
    const second = await client.chat.completions.create({ model: "smart", messages: [...turns], tools: [...tools] });
    expect(second.choices[0]?.message.tool_calls?.[0]?.id).toMatch(/^call_b_1_/);
    const seen = upstream.requests.at(-1)?.json["messages"];
    expect(seen).toMatchObject([{}, { tool_calls: [{ id: "call_a_0" }] }, { tool_call_id: "call_a_0" }]);
  });

  test("a new question is anybody's", async () => {
    const started = await start({ smart: pool("balance", ["up/a", "up/b"]) });
    const tools = [{ type: "function", function: { name: "add" } }];
    for (let turn = 0; turn < 4; turn += 1) await started.gateway.chat({ model: "smart", tools });
    expect([started.asked("a"), started.asked("b")]).toEqual([2, 2]);
  });
});

describe("other calls than those of functions", () => {
  const head = { id: "x", object: "chat.completion.chunk", created: 1, model: "m" };
  const chunk = (delta: object, reason: string | null = null) =>
    frame({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] });
  const trees = { vote: { policy: "vote" }, select: { policy: "select", judge: "up/j" } };

  async function streamed(policy: object, scripts: Scripts, fields: object) {
    const models = { smart: { kind: "vote", members: ["up/a", "up/b", "up/c"], tools: policy } };
    const { gateway } = await startPair(
      { ...scripts, j: json(500, errorJson("Down.")) },
      { onFinished: onTestFinished, config: { models } },
    );
    const whole = await gateway.chat({ model: "smart", ...fields });
    const text = await (await gateway.chat({ model: "smart", stream: true, ...fields })).text();
    expect(validateStream(text, { usage: false })).toEqual([]);
    const { choices } = (await whole.json()) as { readonly choices: readonly { readonly message: object }[] };
    return [accumulate(text).choices[0]?.message, choices[0]?.message];
  }

  test.each(Object.entries(trees))("legacy functions are compared, and go out whole, by %s", async (_, policy) => {
    const calling = (...parts: readonly string[]) =>
      sse([
        chunk({ role: "assistant", content: null, function_call: { name: "add", arguments: "" } }),
        ...parts.map((part) => chunk({ function_call: { arguments: part } })),
        chunk({}, "function_call"),
        frame("[DONE]"),
      ]);
    const both =
      (whole: Script, stream: Script): Script =>
      (exchange) =>
        (exchange.request.json["stream"] === true ? stream : whole)(exchange);
    const script = (...parts: readonly string[]) => {
      const message = { function_call: { name: "add", arguments: parts.join("") } };
      return both(json(200, completionJson(null, { message, choice: { finish_reason: "function_call" } })), calling(...parts));
    };
    const scripts = { a: script('{"a":', "1}"), b: script('{"a"', ": 2}"), c: script('{"a":2', "}") };
    const answers = await streamed(policy, scripts, { functions: [{ name: "add" }] });
    for (const message of answers) expect(message).toMatchObject({ function_call: { name: "add", arguments: '{"a": 2}' } });
  });

  test.each(Object.entries(trees))("custom tools are compared by their input, and go out as such, by %s", async (_, policy) => {
    const script = (input: string): Script => {
      const call = { id: "call_1", type: "custom", custom: { name: "sql", input } };
      const chunks = [
        chunk({ role: "assistant", content: null, tool_calls: [{ index: 0, ...call }] }),
        chunk({}, "tool_calls"),
        frame("[DONE]"),
      ];
      const whole = json(200, completionJson(null, { message: { tool_calls: [call] }, choice: { finish_reason: "tool_calls" } }));
      return (exchange) => (exchange.request.json["stream"] === true ? sse(chunks) : whole)(exchange);
    };
    const scripts = { a: script("select 1"), b: script("select 2"), c: script("select 2") };
    const answers = await streamed(policy, scripts, { tools: [{ type: "custom", custom: { name: "sql" } }] });
    for (const message of answers)
      expect(message).toMatchObject({ tool_calls: [{ type: "custom", custom: { name: "sql", input: "select 2" } }] });
  });
});

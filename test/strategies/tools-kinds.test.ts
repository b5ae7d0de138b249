/**
 * Whole loops of an agent over every kind of panel under every policy, by the official client: parallel calls, then one, then words. The servers
 * of the members write ids of calls each in a form of its own, and two of them refuse all others; turns alternate between two gateways.
 */
import type { RunnableToolFunctionWithoutParse } from "openai/lib/RunnableFunction";
import { afterAll, describe, expect, test } from "vitest";
import type { Node } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { messages, startPair } from "../support/gateway.ts";
import { chunkStream, completionJson, errorJson, json, sse, type Script } from "../support/upstream.ts";

interface Turn {
  readonly role: string;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly { readonly id: string; readonly function: { readonly arguments: string } }[];
}

const ARGUMENTS = ['{"b": 9007199254740993,\t"a":2.0}', '{ "a": 1e2 }', '{"a":3}'] as const;

/** As OpenAI, Mistral and vLLM write ids, and what each takes. */
const forms = {
  a: { id: (nth: number) => `call_${String(nth).padStart(24, "x")}`, takes: /^.{1,40}$/ },
  b: { id: (nth: number) => String(nth).padStart(9, "M"), takes: /^[A-Za-z0-9]{9}$/ },
  c: { id: (nth: number) => `chatcmpl-tool-${String(nth).padStart(32, "0")}`, takes: /./ },
} as const;

function worker(name: keyof typeof forms): Script {
  const { id, takes } = forms[name];
  return (exchange) => {
    const { json: body } = exchange.request;
    const turns = body["messages"] as readonly Turn[];
    const made = turns.flatMap(({ tool_calls: calls = [] }) => calls);
    const answered = turns.flatMap(({ tool_call_id: of }) => (of === undefined ? [] : [of]));
    const foreign = made.find((call) => !takes.test(call.id));
    if (foreign) return json(400, errorJson(`The id ${foreign.id} can not be taken.`))(exchange);
    if (JSON.stringify(made.map((call) => call.id)) !== JSON.stringify(answered)) return json(400, errorJson("Ids differ."))(exchange);
    const offered = Array.isArray(body["tools"]);
    const texts = !offered ? [] : made.length === 0 ? ARGUMENTS.slice(0, 2) : made.length === 2 ? ARGUMENTS.slice(2) : [];
    const calls = texts.map((text, nth) => ({ id: id(made.length + nth), name: "add", arguments: [text] }));
    const wanted = JSON.stringify(body["response_format"] ?? "").includes('"best"') ? '{"best":"A"}' : "The answer is 4.";
    const said = calls.length > 0 ? [] : [wanted];
    if (body["stream"] === true) return sse(chunkStream(said, calls.length > 0 ? { tools: calls } : {}))(exchange);
    const toolCalls = calls.map((call) => ({ id: call.id, type: "function", function: { name: "add", arguments: call.arguments[0] } }));
    const whole = calls.length > 0 ? { message: { tool_calls: toolCalls }, choice: { finish_reason: "tool_calls" } } : {};
    return json(200, completionJson(said[0] ?? null, whole))(exchange);
  };
}

const policies: Readonly<Record<string, object>> = {
  owner: { policy: "owner" },
  vote: { policy: "vote", members: ["a", "b", "c"] },
  select: { policy: "select", members: ["c", "b"], judge: "a" },
  advise: { policy: "advise", members: ["c", "b"], owner: "b" },
};

const panels = [...strategies.values()].flatMap(({ level, kind, examples: [first] }) =>
  level === "text" && typeof first === "object" ? [[kind, first] as const] : [],
);

describe("a loop ends in words", async () => {
  const models: Record<string, Node> = {};
  for (const [kind, node] of panels)
    for (const [policy, tools] of Object.entries(policies)) models[`${kind}-${policy}`] = { ...node, tools };
  const pair = await startPair({ a: worker("a"), b: worker("b"), c: worker("c") }, { onFinished: afterAll });
  const provider = (dialect: string, model: string) => ({
    kind: "openai",
    dialect,
    baseUrl: pair.upstream.url,
    models: [model],
    retry: { attempts: 1 },
  });
  const providers = { oa: provider("openai", "a"), mi: provider("mistral", "b"), vl: provider("vllm", "c") };
  const [one, other] = [
    (await startPair({}, { onFinished: afterAll, config: { models, providers } })).gateway,
    (await startPair({}, { onFinished: afterAll, config: { models, providers } })).gateway,
  ];

  /** Runs the loop and tells its answer and the arguments that the client's tool was given. */
  async function loop(model: string, stream: boolean) {
    let turn = 0;
    const client = one.client({
      fetch: (url, init) => {
        turn += 1;
        const to = url instanceof Request ? url.url : url.toString();
        return fetch(turn % 2 === 1 ? to : to.replace(one.origin, other.origin), init);
      },
    });
    const given: string[] = [];
    const tool: RunnableToolFunctionWithoutParse = {
      type: "function",
      function: {
        name: "add",
        description: "Adds.",
        parameters: { type: "object" },
        function: (text) => (given.push(text), "4"),
      },
    };
    const body = { model, messages: [...messages], tools: [tool] };
    const runner = stream ? client.chat.completions.runTools({ ...body, stream: true }) : client.chat.completions.runTools(body);
    return { content: await runner.finalContent(), given, turns: () => turn };
  }

  describe.each(Object.keys(policies).map((policy, nth) => [policy, nth] as const))("by %s", (policy, nth) => {
    test.each(panels.map(([kind], index) => [kind, (index + nth) % 2 === 0] as const))("over %s (stream: %s)", async (kind, stream) => {
      const { content, given, turns } = await loop(`${kind}-${policy}`, stream);
      expect(content).toBe("The answer is 4.");
      expect(given, "to the byte").toEqual(ARGUMENTS);
      expect(turns()).toBe(3);
    });
  });

  test("and no server was brought an id that it refuses", () => {
    expect(pair.upstream.requests.length).toBeGreaterThan(panels.length * 3 * 4);
    for (const { requestLogs } of [one, other])
      for (const log of requestLogs) expect(log).toEqual(expect.not.objectContaining({ degraded: expect.anything() as unknown }));
  });
});

import Anthropic, { APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { describe, expect, onTestFinished, test } from "vitest";
import { answering, type Answered } from "../../providers/anthropic/wire.ts";
import { clientKey, startPair } from "../../support/gateway.ts";
import { errorJson, json, startUpstream, type Script } from "../../support/upstream.ts";
import { startMessages, wrongMessage, type Fields } from "./asking.ts";
import { calls, says } from "../../support/answers.ts";

const question = { role: "user", content: "What is 2+2?" } as const;
const base = { max_tokens: 2000, messages: [question] };
const usage = { input_tokens: 7, output_tokens: 3 };

const sumInput = { type: "object", properties: { a: { type: "integer" }, b: { type: "integer" } }, required: ["a", "b"] } as const;

const tool = { id: "toolu_1", name: "add", arguments: '{"a":2,"b":2}' };

/** The same answer by either API, as it is asked. */
const either =
  (openai: Script, anthropic: Answered): Script =>
  (exchange) =>
    (exchange.request.path.endsWith("/messages") ? answering(anthropic) : openai)(exchange);
const text = either(says("It is 4."), { blocks: [{ type: "text", text: "It is 4." }] });
const call = either(calls(tool), {
  blocks: [{ type: "tool_use", id: tool.id, name: tool.name, input: { a: 2, b: 2 } }],
  stop: "tool_use",
});
const silent: Script = async (exchange) => void (await exchange.wait(5000));

/** A leaf of each API, and panels of both. */
const places: readonly (readonly [string, Fields | undefined, string])[] = [
  ["a leaf of the OpenAI API", undefined, "up/a"],
  ["a leaf of the Messages API", undefined, "claude/a"],
  ["a panel that fuses", { kind: "fuse", members: ["up/b", "up/c"], writer: "claude/a" }, "it"],
  ["a panel that votes", { kind: "vote", members: ["up/b", "claude/c", "up/a"], stop: "none" }, "it"],
];

describe.each(places)("%s", (_, panel, model) => {
  const isPanel = panel !== undefined;
  const start = async () => {
    const upstream = await startUpstream({ "*": text }, onTestFinished);
    const claude = { kind: "anthropic", baseUrl: upstream.url, retry: { attempts: 1 } };
    const up = { kind: "openai", baseUrl: upstream.url, retry: { attempts: 1 } };
    const config = { providers: { claude, up }, ...(panel ? { models: { it: panel } } : {}) };
    return { ...(await startMessages({}, { config })), upstream };
  };

  test("answers whole", async () => {
    const { client } = await start();
    const message = await client().messages.create({ ...base, model });
    expect(wrongMessage(message as unknown as Fields)).toEqual([]);
    expect(message.content).toEqual([{ type: "text", text: "It is 4.", citations: null }]);
    expect([message.model, message.stop_reason]).toEqual([model, "end_turn"]);
    if (isPanel) expect(message.usage).toMatchObject({ input_tokens: 21, output_tokens: 9 });
    else expect(message.usage).toMatchObject(usage);
  });

  test("streams to the helper what it answers whole", async () => {
    const { client } = await start();
    const whole = await client().messages.create({ ...base, model });
    const stream = client().messages.stream({ ...base, model });
    const texts: string[] = [];
    stream.on("text", (text) => texts.push(text));
    const final = await stream.finalMessage();
    expect(texts.join("")).toBe("It is 4.");
    expect({ ...final, id: "" }).toEqual({ ...whole, id: "", parsed_output: null });
  });

  test.each([false, true])("runs a loop of tools, streamed: %s", async (stream) => {
    const { client, upstream } = await start();
    upstream.script({ a: [call, text], b: [call, text], c: [call, text] });
    const asked: unknown[] = [];
    const add = betaTool({
      name: "add",
      description: "Adds.",
      inputSchema: sumInput,
      run: (input) => {
        asked.push(input);
        return "4";
      },
    });
    const final = await client()
      .beta.messages.toolRunner({ ...base, model, tools: [add], stream })
      .runUntilDone();
    expect(asked).toEqual([{ a: 2, b: 2 }]);
    expect(final.content).toMatchObject([{ type: "text", text: "It is 4." }]);
    const told = JSON.stringify(upstream.requests.at(-1)?.json["messages"]);
    expect(told).toContain('"toolu_1');
    expect(told).toContain("What is 2+2?");
  });

  test("throws the client's own errors", async () => {
    const { client, upstream } = await start();
    const ask = (options = {}, body = {}) => client(options).messages.create({ ...base, model, ...body });
    await expect(ask({ apiKey: "sk-wrong-0123456789" })).rejects.toThrow(AuthenticationError);
    await expect(ask({}, { model: "nobody" })).rejects.toThrow(NotFoundError);
    await expect(ask({}, { max_tokens: 0 })).rejects.toThrow(BadRequestError);
    const limited = json(429, errorJson("Slow down.", { type: "rate_limit_error" }), { "retry-after": "7" });
    upstream.script({ "*": limited });
    const thrown: unknown = await ask().catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(RateLimitError);
    const { status, type, requestID, headers } = thrown as RateLimitError;
    expect([status, type]).toEqual([429, "rate_limit_error"]);
    expect(requestID).toMatch(/^req_/);
    expect(headers.get("retry-after")).toBe("7");
    expect(upstream.requests.length).toBeLessThanOrEqual(isPanel ? 3 : 1);
  });

  test("is left by a client that aborts", async () => {
    const { client, upstream, gateway } = await start();
    upstream.script({ "*": silent });
    const controller = new AbortController();
    const asking = client().messages.create({ ...base, model, stream: true }, { signal: controller.signal });
    const refused = expect(asking).rejects.toThrow(APIUserAbortError);
    await upstream.request(0);
    controller.abort();
    await refused;
    await expect.poll(() => gateway.requestLogs.at(-1)?.["error"]).toBe("client_closed");
    const closes = await Promise.all(upstream.requests.map(({ closed }) => closed));
    expect(closes.map(({ complete }) => complete)).not.toContain(true);
  });
});

test("the client waits as long as it is told and asks again", async () => {
  const limited = json(429, errorJson("Slow down."), { "retry-after-ms": "20" });
  const { client, upstream } = await startMessages({ a: [limited, says("4")] });
  const message = await client({ maxRetries: 1 }).messages.create({ ...base, model: "up/a" });
  expect([message.content, upstream.requests.length]).toMatchObject([[{ text: "4" }], 2]);
});

test("the client does not repeat what the gateway has tried", async () => {
  const { client, upstream } = await startMessages({ a: json(500, errorJson("Broken.")) });
  await expect(client({ maxRetries: 3 }).messages.create({ ...base, model: "up/a" })).rejects.toMatchObject({ status: 502 });
  expect(upstream.requests).toHaveLength(1);
});

/** Of a kept answer nothing is counted. */
const kinds: Readonly<Record<string, Fields>> = {
  retry: { kind: "retry", model: "demo/alto" },
  fallback: { kind: "fallback", members: ["demo/alto", "demo/bass"] },
  cascade: {
    kind: "cascade",
    steps: [{ model: "demo/alto", accept: { by: "prefixLogprob", tokens: 8, min: -9 } }, { model: "demo/bass" }],
  },
  cache: { kind: "cache", model: "demo/alto" },
  mux: { kind: "mux", members: ["demo/alto", "demo/bass"] },
  rank: { kind: "rank", members: ["demo/alto", "demo/bass"], by: "medoid" },
  mixture: { kind: "mixture", members: ["demo/alto", "demo/bass"], writer: "demo/alto" },
  debate: { kind: "debate", members: ["demo/alto", "demo/bass", "demo/tenor"] },
  council: { kind: "council", members: ["demo/alto", "demo/bass", "demo/tenor"], chair: "demo/alto" },
  abstain: { kind: "abstain", model: "demo/alto", by: "ask" },
};

test.each(Object.keys(kinds))("a %s answers whole and streams", async (kind) => {
  const { gateway } = await startPair(
    {},
    {
      onFinished: onTestFinished,
      config: { providers: { demo: { kind: "demo", firstTokenMs: 0, tokensPerSecond: 0 } }, models: { it: kinds[kind] } },
    },
  );
  const client = new Anthropic({ baseURL: gateway.origin, apiKey: clientKey, maxRetries: 0 });
  const whole = await client.messages.create({ ...base, model: "it" });
  const streamed = await client.messages.stream({ ...base, model: "it" }).finalMessage();
  for (const message of [whole, streamed]) {
    expect(wrongMessage(message as unknown as Fields)).toEqual([]);
    expect(message.content).toMatchObject([{ type: "text" }]);
    expect(message.usage.output_tokens > 0 || kind === "cache").toBe(true);
  }
});

import { describe, expect, onTestFinished, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { systemClock } from "../../../src/model/clock.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import type { ModelEvent } from "../../../src/model/events.ts";
import type { ProviderInstance } from "../../../src/providers/define.ts";
import { anthropic } from "../../../src/providers/anthropic.ts";
import { openPools } from "../../../src/upstream/pools.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { read } from "../../support/read.ts";
import { html, json, sse, stall, startUpstream, type Script, type Upstream } from "../../support/upstream.ts";
import { answering, event, plain, streamed, whole } from "./wire.ts";

interface Started {
  readonly upstream: Upstream;
  readonly instance: ProviderInstance;
  readonly call: Call;
}

async function start(script: Script, given: Partial<Call> = {}, options: object = {}): Promise<Started> {
  const upstream = await startUpstream({ "*": script }, onTestFinished);
  const pools = openPools();
  onTestFinished(() => pools.close());
  const instance = await anthropic.build(anthropic.options.parse({ baseUrl: upstream.url, apiKey: "sk-ant", ...options }), {
    name: "up",
    pools,
    clock: systemClock,
  });
  return { upstream, instance, call: newCall({ clock: systemClock, ...given }) };
}

const stream = ({ instance, call }: Started) => instance.chat("claude-sonnet-4-5").stream(newRequest(), call);
const completionOf = (events: readonly ModelEvent[]) => events.flatMap((found) => (found.type === "finish" ? [found.completion] : []))[0];

describe("an answer", () => {
  test("streamed begins with its identity and ends with its usage", async () => {
    const started = await start(answering(plain));
    const { events, error } = await read(stream(started));
    expect(error).toBeUndefined();
    expect(events[0]).toEqual({ type: "start", id: "msg_1", model: "claude-x" });
    expect(events.at(-1)).toEqual({ type: "finish", usage: { promptTokens: 7, completionTokens: 3 } });
    expect(started.call.span).toMatchObject({ sent: true });
    expect(started.call.span.usage).toBeUndefined();
  });

  test.each(["unary", "metered"] as const)("%s is one completion", async (delivery) => {
    const started = await start(answering(plain), { delivery });
    const { events } = await read(stream(started));
    expect(events).toHaveLength(1);
    expect(completionOf(events)).toMatchObject({
      id: "msg_1",
      choices: [{ index: 0, finishReason: "stop", message: { role: "assistant", content: "It is 4." } }],
      usage: { promptTokens: 7, completionTokens: 3 },
    });
    expect(started.upstream.requests[0]?.json["stream"]).toBe(delivery === "metered" ? true : undefined);
  });

  test("that has ended is whole, however its connection ends", async () => {
    const frames = streamed(plain).slice(0, -1);
    const { events, error } = await read(stream(await start(sse(frames, { ending: "reset" }))));
    expect([error, events.at(-1)?.type]).toEqual([undefined, "finish"]);
  });

  test("asked for as a stream may come whole", async () => {
    const { events } = await read(stream(await start(json(200, whole(plain)))));
    expect(events.map(({ type }) => type)).toEqual(["batch", "finish"]);
  });
});

describe("a leg that is cut", () => {
  test.each(["stream", "metered"] as const)("is billed for what it wrote (%s)", async (delivery) => {
    const frames = streamed(plain).slice(0, 5);
    const started = await start(sse(frames, { ending: "cut" }), { delivery });
    const { error } = await read(stream(started));
    expect(error?.code).toBe("upstream_unreachable");
    // Two pieces of text came behind the start, which counts the prompt.
    expect(started.call.span).toMatchObject({ sent: true, estimated: true, usage: { promptTokens: 7, completionTokens: 2 } });
  });

  test("by its reader is billed, and its socket closes", async () => {
    const started = await start(sse(streamed(plain).slice(0, 5), { ending: "stall" }));
    for await (const found of stream(started)) if (found.type === "batch") break;
    expect(started.call.span).toMatchObject({ sent: true, estimated: true, usage: { promptTokens: 7 } });
    expect(await (await started.upstream.request(0)).closed).toMatchObject({ complete: false });
  });

  test("by a signal ends with its reason", async () => {
    const controller = new AbortController();
    const reason = new GatewayError("client_closed", "The client has left.");
    const started = await start(stall({ after: "head" }), { signal: controller.signal });
    const reading = read(stream(started));
    await started.upstream.request(0);
    controller.abort(reason);
    expect((await reading).error).toBe(reason);
    expect(started.call.span.usage).toBeUndefined();
  });

  test("by silence timed out; pings are no sign of life", async () => {
    const pings = Array.from({ length: 40 }, () => [20, event("ping")]).flat();
    const script = sse([...streamed(plain).slice(0, 4), ...pings], { ending: "stall" });
    const started = await start(script, {}, { timeouts: { idleMs: 200 } });
    const { error } = await read(stream(started));
    expect([error?.code, error?.message]).toEqual(["upstream_timeout", "up/claude-sonnet-4-5 was silent for 200 ms."]);
  });
});

test.each<readonly [string, Script, string]>([
  ["a page of HTML", html(200), "upstream_protocol"],
  ["a page with a status", html(503), "upstream_overloaded"],
  ["text", json(200, "hello"), "upstream_protocol"],
  ["another API's answer", json(200, { choices: [] }), "upstream_protocol"],
  ["an encoding that was not asked for", sse(streamed(plain), { encoding: "gzip" }), "upstream_protocol"],
  ["no event at all", sse([]), "upstream_unreachable"],
])("%s is no answer", async (_, script, code) => {
  const { error } = await read(stream(await start(script)));
  expect(error?.code).toBe(code);
});

test("what is refused by name asks nobody", async () => {
  const started = await start(answering(plain));
  const { error } = await read(started.instance.chat("claude-sonnet-4-5").stream(newRequest({ n: 2 }), started.call));
  expect([error?.code, error?.details.param, started.upstream.requests.length]).toEqual(["incapable", "n", 0]);
  expect(started.call.span.sent).toBeUndefined();
});

test("what is left out is a warning of the request", async () => {
  const started = await start(answering(plain));
  await read(started.instance.chat("claude-sonnet-4-5").stream(newRequest({ seed: 7 }), started.call));
  expect(started.call.trace.warnings).toEqual(['up/claude-sonnet-4-5 does not take "seed"; it was left out']);
});

describe("options", () => {
  test("of a bound, of thinking and of a version that knows no sampling", async () => {
    const started = await start(answering(plain), {}, { maxTokens: 77, thinking: "adaptive", version: "2026-10-21" });
    await read(started.instance.chat("claude-sonnet-4-5").stream(newRequest({ reasoning_effort: "low", temperature: 0.2 }), started.call));
    const { max_tokens: bound, thinking, temperature } = started.upstream.requests[0]?.json ?? {};
    expect([bound, thinking, temperature]).toEqual([77, { type: "adaptive", display: "summarized" }, undefined]);
  });

  test("have an address of their own, whose prices are listed", async () => {
    const pools = openPools();
    onTestFinished(() => pools.close());
    const instance = await anthropic.build(anthropic.options.parse({ apiKey: "k" }), { name: "up", pools, clock: systemClock });
    expect(instance.pricedAs).toBe("anthropic");
    expect(instance.capabilities("claude-opus-5")).toEqual({ schema: true, tools: true, images: true, logprobs: false, choices: "one" });
    expect(instance.capabilities("claude-3-haiku-20240307")).toMatchObject({ schema: false });
    expect(instance.capabilities("smollm2")).not.toHaveProperty("schema");
  });

  test.each([{ version: "now" }, { baseUrl: "ftp://x" }, { apiKey: "a b" }, { maxTokens: 0 }, { betas: [] }])("%j is refused", (fields) => {
    expect(anthropic.options.safeParse(fields).success).toBe(false);
  });
});

describe("thoughts behind a call", () => {
  const thoughts = [
    { type: "thinking", thinking: "Hm.", signature: "c2ln" },
    { type: "redacted_thinking", data: "ZW5j" },
  ];
  const use = { type: "tool_use", id: "toolu_9", name: "f", input: {} };
  // What a client sends back that knows no field beside OpenAI's own.
  const messages = [
    { role: "user", content: "Go." },
    { role: "assistant", content: null, tool_calls: [{ id: "toolu_9", type: "function", function: { name: "f", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "toolu_9", content: "ok" },
  ];
  const next = async ({ instance, upstream, call }: Started, who: string, model: string) => {
    await read(instance.chat(model).stream(newRequest({ messages }), { ...call, principal: { name: who } }));
    const [, assistant] = (await upstream.request(upstream.requests.length - 1)).json["messages"] as readonly { content: unknown }[];
    return assistant?.content;
  };

  test.each(["stream", "unary", "metered"] as const)("are given back when the client dropped them (%s)", async (delivery) => {
    const started = await start(answering({ blocks: [...thoughts, use], stop: "tool_use" }), { delivery });
    await read(stream(started));
    expect(await next(started, "team-a", "claude-sonnet-4-5")).toEqual([...thoughts, use]);
  });

  test("between calls keep their places, when the client dropped them or only the places", async () => {
    const second = { type: "thinking", thinking: "So.", signature: "c2lnMg==" };
    const blocks = [...thoughts, use, second, { ...use, id: "toolu_10" }];
    const started = await start(answering({ blocks, stop: "tool_use" }));
    await read(stream(started));
    const calls = ["toolu_9", "toolu_10"].map((id) => ({ id, type: "function", function: { name: "f", arguments: "{}" } }));
    const results = calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "ok" }));
    const assistant = { role: "assistant", content: null, tool_calls: calls };
    const unplaced = { ...assistant, thinking_blocks: [...thoughts, second] };
    for (const message of [assistant, unplaced]) {
      const request = newRequest({ messages: [{ role: "user", content: "Go." }, message, ...results] });
      await read(started.instance.chat("claude-sonnet-4-5").stream(request, { ...started.call, principal: { name: "team-a" } }));
      const { json } = await started.upstream.request(started.upstream.requests.length - 1);
      expect((json["messages"] as readonly unknown[])[1]).toEqual({ role: "assistant", content: blocks });
    }
  });

  test("are nobody else's, and no other model's", async () => {
    const started = await start(answering({ blocks: [...thoughts, use], stop: "tool_use" }));
    await read(stream(started));
    expect(await next(started, "team-b", "claude-sonnet-4-5")).toEqual([use]);
    expect(await next(started, "team-a", "claude-opus-4-5")).toEqual([use]);
  });
});

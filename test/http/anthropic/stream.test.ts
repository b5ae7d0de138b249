import { describe, expect, test } from "vitest";
import { quick, readPieces } from "../../support/gateway.ts";
import { chunkStream, completionJson, cut, errorJson, frame, json, sse, stall } from "../../support/upstream.ts";
import { messageEvents, startMessages, wrongEvents, wrongMessage, type Fields, type MessageEvent } from "./asking.ts";
import { calls, says } from "../../support/answers.ts";

const types = (events: readonly MessageEvent[]) => events.map(({ type }) => type);
const deltas = (events: readonly MessageEvent[]) =>
  events.map(({ delta }) => delta as Fields | undefined).filter((delta) => delta !== undefined);

test("a text is one block, and its events carry what the API's do", async () => {
  const { ask } = await startMessages({ a: says("It is 4.") });
  const answer = await ask({ stream: true });
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
  const text = await answer.text();
  const events = messageEvents(text);
  expect(wrongEvents(events)).toEqual([]);
  const nothing = { cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens_details: null, server_tool_use: null };
  expect(events).toEqual([
    {
      type: "message_start",
      message: {
        id: expect.stringMatching(/^msg_\w+$/) as unknown,
        type: "message",
        role: "assistant",
        model: "up/a",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        stop_details: null,
        container: null,
        diagnostics: null,
        usage: {
          ...nothing,
          input_tokens: 0,
          output_tokens: 0,
          cache_creation: null,
          inference_geo: null,
          service_tier: null,
          speed: null,
        },
      },
    },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "", citations: null } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "It i" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "s 4." } },
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null, stop_details: null, container: null },
      usage: { ...nothing, input_tokens: 7, output_tokens: 3 },
    },
    { type: "message_stop" },
  ]);
  // Nobody knows what it cost.
  expect(text).not.toContain("cost-usd");
  expect(text).not.toContain("[DONE]");
});

test("thoughts, text and calls are blocks in their order", async () => {
  const tools = [
    { id: "call_1", name: "add", arguments: ['{"a": ', "1}"] },
    { id: "call_2", name: "now", arguments: [] },
  ];
  const { ask } = await startMessages({ a: sse(chunkStream(["So."], { reasoning: ["h", "m"], tools, usage: true })) });
  const events = messageEvents(await (await ask({ stream: true, thinking: { type: "adaptive" } })).text());
  expect(wrongEvents(events)).toEqual([]);
  expect(events.slice(1, -2).map(({ type, index, content_block: block, delta }) => [type.slice(14), index, block ?? delta])).toEqual([
    ["start", 0, { type: "thinking", thinking: "", signature: "" }],
    ["delta", 0, { type: "thinking_delta", thinking: "h" }],
    ["delta", 0, { type: "thinking_delta", thinking: "m" }],
    ["stop", 0, undefined],
    ["start", 1, { type: "text", text: "", citations: null }],
    ["delta", 1, { type: "text_delta", text: "So." }],
    ["stop", 1, undefined],
    ["start", 2, { type: "tool_use", id: "call_1", name: "add", caller: { type: "direct" }, input: {} }],
    ["delta", 2, { type: "input_json_delta", partial_json: '{"a": ' }],
    ["delta", 2, { type: "input_json_delta", partial_json: "1}" }],
    ["stop", 2, undefined],
    ["start", 3, { type: "tool_use", id: "call_2", name: "now", caller: { type: "direct" }, input: {} }],
    ["delta", 3, { type: "input_json_delta", partial_json: "{}" }],
    ["stop", 3, undefined],
  ]);
  expect(events.at(-2)).toMatchObject({ delta: { stop_reason: "tool_use" } });
});

test("an answer that its leaf tells at once has the same blocks", async () => {
  const message = { reasoning_content: "hm", content: "So." };
  const { ask } = await startMessages({ a: json(200, completionJson("So.", { message })) });
  const events = messageEvents(await (await ask({ stream: true, thinking: { type: "adaptive" } })).text());
  expect(wrongEvents(events)).toEqual([]);
  expect(deltas(events).map(({ type, thinking, text }) => [type, thinking ?? text])).toEqual([
    ["thinking_delta", "hm"],
    ["text_delta", "So."],
    [undefined, undefined],
  ]);
});

test("the pieces of calls that come mixed are told one call after the other", async () => {
  const piece = (index: number, more: Fields) =>
    frame({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: { tool_calls: [{ index, ...more }] } }] });
  const begin = (index: number) => piece(index, { id: `call_${index}`, type: "function", function: { name: "add", arguments: "" } });
  const more = (index: number, text: string) => piece(index, { function: { arguments: text } });
  const mixed = [begin(0), more(0, "{"), begin(1), more(1, '{"b'), more(0, '"a":1}'), more(1, '":2}')];
  const { ask } = await startMessages({ a: sse([...mixed, ...chunkStream([], { roles: "none", finish: "tool_calls" })]) });
  const text = await (await ask({ stream: true })).text();
  const events = messageEvents(text);
  expect(wrongEvents(events)).toEqual([]);
  const json = (at: number) =>
    events
      .flatMap(({ index, delta }) => (index === at ? [((delta as Fields | undefined)?.["partial_json"] as string) ?? ""] : []))
      .join("");
  expect([json(0), json(1)]).toEqual(['{"a":1}', '{"b":2}']);
});

test.each([
  ["stop", undefined, "end_turn"],
  ["length", undefined, "max_tokens"],
  ["content_filter", undefined, "refusal"],
  ["tool_calls", [{ id: "call_1", name: "add", arguments: ["{}"] }], "tool_use"],
  // Some servers end calls so.
  ["stop", [{ id: "call_1", name: "add", arguments: ["{}"] }], "tool_use"],
])("an answer that ended by %s with the calls %j stops with %s", async (finish, tools, reason) => {
  const { ask } = await startMessages({ a: sse(chunkStream(["It"], { finish, ...(tools ? { tools } : {}) })) });
  const events = messageEvents(await (await ask({ stream: true })).text());
  expect(wrongEvents(events)).toEqual([]);
  expect(events.at(-2)).toMatchObject({ delta: { stop_reason: reason, stop_sequence: null } });
});

test("a text that a server says it stopped at is the stop sequence, and only one of the client's", async () => {
  const stopped = (met: unknown) => json(200, completionJson("It is", { choice: { stop_reason: met } }));
  const { ask, upstream } = await startMessages({ a: [stopped("4"), stopped("</s>"), stopped(151645)] });
  const told = async () => {
    const { stop_reason: reason, stop_sequence: sequence } = (await (await ask({ stop_sequences: ["4", "5"] })).json()) as Fields;
    return [reason, sequence];
  };
  expect([await told(), await told(), await told()]).toEqual([
    ["stop_sequence", "4"],
    ["end_turn", null],
    ["end_turn", null],
  ]);
  expect(upstream.requests[0]?.json["stop"]).toEqual(["4", "5"]);
});

test("a refusal in words stands in the details of the stop, whole and streamed", async () => {
  const frames = chunkStream([]);
  const said = frame({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: { refusal: "No." }, finish_reason: null }] });
  const whole = json(200, completionJson(null, { message: { refusal: "No." } }));
  const streamed = sse([frames[0] ?? "", said, ...frames.slice(1)]);
  const { ask } = await startMessages({ a: (exchange) => (exchange.request.json["stream"] === true ? streamed : whole)(exchange) });
  const ending = { stop_reason: "refusal", stop_details: { type: "refusal", category: null, explanation: "No." } };
  expect(await (await ask()).json()).toMatchObject({ content: [], ...ending });
  const events = messageEvents(await (await ask({ stream: true })).text());
  expect(wrongEvents(events)).toEqual([]);
  expect(events.at(-2)).toMatchObject({ delta: ending });
});

test("cached tokens are counted beside the others, whole and streamed", async () => {
  const usage = {
    prompt_tokens: 130,
    completion_tokens: 7,
    total_tokens: 137,
    prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 20 },
    completion_tokens_details: { reasoning_tokens: 3 },
  };
  const { ask } = await startMessages({ a: says("4", { usage }) });
  const told = {
    input_tokens: 10,
    cache_read_input_tokens: 100,
    cache_creation_input_tokens: 20,
    output_tokens: 7,
    output_tokens_details: { thinking_tokens: 3 },
  };
  expect(await (await ask()).json()).toMatchObject({ usage: told });
  expect(messageEvents(await (await ask({ stream: true })).text()).at(-2)).toMatchObject({ usage: told });
});

describe("a stream that fails", () => {
  test("after its head ends in an error, never in a whole message", async () => {
    const { ask, client } = await startMessages({ a: cut(chunkStream(["It ", "is ", "4."]), 3) });
    const answer = await ask({ stream: true });
    expect(answer.status).toBe(200);
    const events = messageEvents(await answer.text());
    expect(types(events)).not.toContain("message_delta");
    expect(types(events)).not.toContain("message_stop");
    expect(events.at(-1)).toMatchObject({
      type: "error",
      error: { type: "api_error", message: expect.any(String) as unknown },
      request_id: answer.headers.get("request-id"),
    });
    const body = { model: "up/a", max_tokens: 9, messages: [{ role: "user" as const, content: "x" }] };
    await expect(client().messages.stream(body).finalMessage()).rejects.toMatchObject({ type: "api_error" });
  });

  test("before its head is an HTTP error that blames the client's own field", async () => {
    const failing = json(400, errorJson("messages are too long", { param: "messages", code: "context_length_exceeded" }));
    const { ask } = await startMessages({ a: failing });
    for (const stream of [true, false]) {
      const answer = await ask({ stream });
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({
        type: "error",
        error: { type: "invalid_request_error", details: { error_code: "context_length_exceeded", param: "messages" } },
      });
    }
  });

  test("tells of itself before it fails, where the head went out early", async () => {
    const { ask } = await startMessages(
      { a: stall() },
      { config: { server: { commitAfterMs: 50, heartbeatMs: 100 } }, provider: { timeouts: { ...quick, firstTokenMs: 300 } } },
    );
    const { text } = await readPieces(await ask({ stream: true }));
    expect(types(messageEvents(text))).toEqual(["message_start", "error"]);
    expect(messageEvents(text)[1]).toMatchObject({ error: { type: "timeout_error" } });
  });

  test("by its own deadline says so", async () => {
    const { ask } = await startMessages({ a: sse(chunkStream(["It "]).slice(0, 2), { ending: "stall" }) });
    const { text } = await readPieces(await ask({ stream: true, chorale: { deadlineMs: 200 } }));
    expect(messageEvents(text).at(-1)).toMatchObject({ type: "error", error: { details: { error_code: "deadline_exceeded" } } });
  });
});

test("heartbeats are comments, or pings where they shall be data", async () => {
  const writes = [300, ...chunkStream(["It "]).slice(0, 2), 300, ...chunkStream(["is"]).slice(1)];
  const commenting = await startMessages({ a: sse(writes) }, { config: { server: { commitAfterMs: 50, heartbeatMs: 100 } } });
  const plain = await (await commenting.ask({ stream: true })).text();
  expect(plain).toContain("\n\n: keep-alive\n\n");
  expect(types(messageEvents(plain))).not.toContain("ping");
  const pinging = await startMessages(
    { a: sse(writes) },
    { config: { server: { commitAfterMs: 50, heartbeatMs: 100, heartbeat: "data" } } },
  );
  const text = await (await pinging.ask({ stream: true })).text();
  expect(text).not.toContain("keep-alive");
  const events = messageEvents(text);
  expect(wrongEvents(events)).toEqual([]);
  expect(types(events).slice(0, 2)).toEqual(["message_start", "ping"]);
});

test("a client that leaves closes the upstream's connection within 100 ms", async () => {
  const { ask, upstream, gateway } = await startMessages({ a: sse(chunkStream(["It "]).slice(0, 2), { ending: "stall" }) });
  const answer = await ask({ stream: true });
  const reader = answer.body?.getReader();
  await reader?.read();
  const request = await upstream.request(0);
  const leftMs = performance.now();
  await reader?.cancel();
  const { atMs, complete } = await request.closed;
  expect(complete).toBe(false);
  expect(atMs - leftMs).toBeLessThan(100);
  await expect.poll(() => gateway.requestLogs[0]).toMatchObject({ model: "up/a", error: "client_closed", stream: true });
});

test("the gateway's own field narrows a message and is answered", async () => {
  const { ask, gateway } = await startMessages({ a: says("4") });
  const chorale = { expose: "summary" };
  const whole = (await (await ask({ chorale })).json()) as Fields;
  expect(wrongMessage(whole)).toEqual([]);
  expect(whole).toMatchObject({ chorale: { members: [{ model: "up/a" }] } });
  const events = messageEvents(await (await ask({ chorale, stream: true })).text());
  expect(events.at(-2)).toMatchObject({ type: "message_delta", chorale: { members: [{ model: "up/a" }] } });
  expect(await (await ask({ chorale: { expose: "all" } })).json()).toMatchObject({ error: { details: { param: "chorale.expose" } } });
  const plain = await ask();
  expect(plain.headers.get("x-chorale-model")).toBe("up/a");
  expect(plain.headers.get("request-id")).toBe(plain.headers.get("x-request-id"));
  const record = await gateway.get(`/v1/chorale/requests/${plain.headers.get("x-request-id")}`);
  expect(await record.json()).toMatchObject({ status: 200, model: "up/a" });
});

test("a call without arguments has an empty object, one that is no object stands under input", async () => {
  const { ask } = await startMessages({
    a: [calls({ id: "call_1", name: "now", arguments: "" }), calls({ id: "call_1", name: "now", arguments: "[1" })],
  });
  expect(await (await ask()).json()).toMatchObject({ content: [{ type: "tool_use", id: "call_1", input: {} }] });
  expect(await (await ask()).json()).toMatchObject({ content: [{ input: { input: "[1" } }] });
});

import { expect, onTestFinished, test } from "vitest";
import { clientKey, messages, startPair, type PairOptions } from "../support/gateway.ts";
import { validateError } from "../support/stream-validator.ts";
import { chunkStream, completionJson, json, sse, usage, type Scripts } from "../support/upstream.ts";

const start = (scripts: Scripts = {}, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair({ a: json(200, completionJson("4")), ...scripts }, { onFinished: onTestFinished, ...options });

type Fields = Record<string, unknown>;

test("A-CC-01 the smallest request has a whole answer", async () => {
  const { gateway } = await start();
  const completion = await gateway.client().chat.completions.create({ model: "up/a", messages: [...messages] });
  expect(completion).toMatchObject({
    object: "chat.completion",
    model: "up/a",
    choices: [{ index: 0, message: { role: "assistant", content: "4", refusal: null }, finish_reason: "stop", logprobs: null }],
    usage,
  });
  expect(completion.id).toMatch(/^chatcmpl-/);
  expect(completion.id).not.toBe("chatcmpl-upstream");
  expect(Math.abs(completion.created - Date.now() / 1000)).toBeLessThan(5);
});

test("A-CC-02 every kind of message reaches the upstream in order and unchanged", async () => {
  const { gateway, upstream } = await start();
  const call = (id: string) => ({ id, type: "function", function: { name: "add", arguments: '{"a": 2,"b":2}' } });
  const conversation = [
    { role: "developer", content: "Be brief." },
    { role: "system", content: [{ type: "text", text: "Be kind." }] },
    { role: "user", content: "What is 2+2?", name: "ada" },
    { role: "assistant", content: null, tool_calls: [call("call_1"), call("call_2")], reasoning_content: "hm" },
    { role: "tool", tool_call_id: "call_2", content: [{ type: "text", text: "4" }] },
    { role: "tool", tool_call_id: "call_1", content: "4", name: "add" },
    { role: "assistant", content: [{ type: "refusal", refusal: "No." }], name: "helper" },
    { role: "assistant", content: "", tool_calls: null, prefix: true },
    { role: "user", content: [{ type: "text", text: "Sure? 😀\u2028" }] },
  ];
  expect((await gateway.chat({ messages: conversation })).status).toBe(200);
  expect(upstream.requests[0]?.json["messages"]).toEqual(conversation);
});

test("A-CC-03 an explicit null is an absent field", async () => {
  const { gateway, upstream } = await start();
  const names = [
    "temperature",
    "top_p",
    "n",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "logit_bias",
    "seed",
    "stream",
    "response_format",
  ];
  const more = [
    "tools",
    "tool_choice",
    "stream_options",
    "logprobs",
    "top_logprobs",
    "metadata",
    "user",
    "reasoning_effort",
    "functions",
    "chorale",
  ];
  const nulls = Object.fromEntries([...names, ...more].map((name) => [name, null]));
  expect((await gateway.chat(nulls)).status).toBe(200);
  expect(upstream.requests[0]?.json["messages"]).toEqual(messages);
});

test("A-CC-03 a server that chokes on nulls does not get any", async () => {
  const { gateway, upstream } = await start({}, { provider: { dialect: "ollama" } });
  expect((await gateway.chat({ temperature: null, tools: null, stop: null, seed: 1 })).status).toBe(200);
  expect(upstream.requests[0]?.json).toEqual({ model: "a", messages, seed: 1 });
});

test("A-CC-04 unknown fields are forwarded", async () => {
  const { gateway, upstream } = await start();
  const fields = { foo: 1, chat_template_kwargs: { enable_thinking: false } };
  expect((await gateway.chat(fields)).status).toBe(200);
  expect(upstream.requests[0]?.json).toEqual({ model: "a", messages, ...fields });
});

test("digits, key order, white space, escapes and __proto__ survive to the upstream byte for byte", async () => {
  const { gateway, upstream } = await start();
  const rest = String.raw`"z":1.10,"seed":9223372036854775807,"messages" : [ {"role":"user","content":"\u00e9\/😀", "__proto__":{"a":1}} ] ,"__proto__":{"x":-0},"a":[1e400,{"b":12345678901234567890}],"10":1,"2":2,"constructor":null`;
  expect((await gateway.chat(`{"model":"up/a",${rest}}`)).status).toBe(200);
  expect(upstream.requests[0]?.body.toString()).toBe(`{"model":"a",${rest}}`);
});

test("the field chorale and the client's key stay here", async () => {
  const { gateway, upstream } = await start();
  await gateway.chat({ chorale: { expose: "none" } }, { headers: { "x-chorale-expose": "none", "openai-organization": "org-1" } });
  const [request] = upstream.requests;
  expect(request?.json).toEqual({ model: "a", messages });
  expect(JSON.stringify(request?.headers)).not.toContain(clientKey);
  expect(request?.headers["openai-organization"]).toBeUndefined();
});

test("A-CC-05 what the upstream adds is kept", async () => {
  const extra = { timings: { predicted_ms: 1.5 }, provider: "x", message: { reasoning_content: "2 and 2", annotations: [] } };
  const { gateway } = await start({ x: json(200, completionJson("4", { ...extra, choice: { stop_reason: 7 } })) });
  const answer = (await (await gateway.chat({ model: "up/x" })).json()) as Fields;
  expect(answer).toMatchObject({ timings: { predicted_ms: 1.5 }, provider: "x", object: "chat.completion", model: "up/x" });
  expect(answer["choices"]).toMatchObject([{ message: { content: "4", reasoning_content: "2 and 2" }, stop_reason: 7 }]);
});

test("A-CC-05 an answer leaves byte for byte except id, model and created", async () => {
  const body = String.raw`{ "id":"x", "object": "chat.completion","created":1,"model":"m", "choices":[{"index":0,"message":{"role":"assistant","content":"\u00e9 4\/","refusal":null},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10},"big":12345678901234567890}`;
  const { gateway } = await start({ x: json(200, body) });
  const text = await (await gateway.chat({ model: "up/x" })).text();
  const { id, created } = JSON.parse(text) as { id: string; created: number };
  const expected = body.replace('"id":"x"', `"id":"${id}"`).replace('"created":1,', `"created":${created},`);
  expect(text).toBe(expected.replace('"model":"m"', '"model":"up/x"'));
});

test.each([
  ["no choices", { choices: [] }],
  ["choices null", { choices: null }],
  ["a choice without a message", { choices: [{ index: 0, finish_reason: "stop" }] }],
])("A-CC-06 an answer with %s is 502", async (_, body) => {
  const { gateway } = await start({ x: json(200, { object: "chat.completion", id: "x", created: 1, model: "m", ...body }) });
  const response = await gateway.chat({ model: "up/x" });
  const text = await response.text();
  expect(response.status).toBe(502);
  expect(validateError(text, response.headers)).toEqual([]);
});

test.each(["", "null", "[]", "7", '"text"', "{", "not json"])("A-CC-06 an answer of %j is 502", async (body) => {
  const { gateway } = await start({ x: json(200, body) });
  for (const stream of [false, true]) {
    const response = await gateway.chat({ model: "up/x", stream });
    const text = await response.text();
    expect(response.status).toBe(502);
    expect(validateError(text, response.headers)).toEqual([]);
  }
});

test("n choices arrive as they are", async () => {
  const choice = (index: number) => ({ index, message: { role: "assistant", content: `${index}` }, logprobs: null, finish_reason: "stop" });
  const { gateway, upstream } = await start({ x: json(200, { ...completionJson(""), choices: [choice(0), choice(1)] }) });
  const { choices } = await gateway.client().chat.completions.create({ model: "up/x", n: 2, messages: [...messages] });
  expect(choices.map(({ message }) => message.content)).toEqual(["0", "1"]);
  expect(upstream.requests[0]?.json["n"]).toBe(2);
});

test("300 requests at once are all answered", async () => {
  const { gateway } = await start({ s: sse(chunkStream(["4"])) });
  const answers = await Promise.all(
    Array.from({ length: 300 }, async (_, index) => {
      const stream = index % 3 === 0;
      const response = await gateway.chat({ model: stream ? "up/s" : "up/a", stream });
      const text = await response.text();
      return (
        response.status === 200 &&
        (stream ? text.endsWith("data: [DONE]\n\n") : (JSON.parse(text) as Fields)["object"] === "chat.completion")
      );
    }),
  );
  expect(answers.filter(Boolean)).toHaveLength(300);
});

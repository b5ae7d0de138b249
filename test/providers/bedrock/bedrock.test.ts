import * as fc from "../../support/properties.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { systemClock } from "../../../src/model/clock.ts";
import { collect } from "../../../src/model/collect.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import type { Delta, ModelEvent } from "../../../src/model/events.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import { bedrock } from "../../../src/providers/bedrock.ts";
import { ConverseStream } from "../../../src/providers/bedrock/stream.ts";
import { openPools } from "../../../src/upstream/pools.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { read } from "../../support/read.ts";
import { answer, json, startUpstream, type Answer, type Script, type Write } from "../../support/upstream.ts";
import { event, exception, streamError } from "./frames.ts";
import { signatureOf } from "./signature.ts";

const CLAUDE = "anthropic.claude-3-5-sonnet-20241022-v2:0";
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

const signing = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: SECRET };

async function start(script: Script, model = CLAUDE, options: object = { apiKey: "bedrock-key" }) {
  const upstream = await startUpstream({ "*": script }, onTestFinished);
  const pools = openPools();
  onTestFinished(() => pools.close());
  const parsed = bedrock.options.parse({ region: "us-east-1", baseUrl: upstream.origin, ...options });
  const instance = await bedrock.build(parsed, { name: "bed", pools, clock: systemClock });
  let call: Call = newCall();
  const run = (fields: Partial<ChatBody> = {}, given: Partial<Call> = {}) => {
    call = newCall({ clock: systemClock, ...given });
    return read(instance.chat(model).stream(newRequest(fields), call));
  };
  return {
    upstream,
    instance,
    ask: async (fields?: Partial<ChatBody>, given?: Partial<Call>): Promise<readonly ModelEvent[]> => {
      const { events, error } = await run(fields, given);
      if (error) throw error;
      return events;
    },
    fail: run,
    sent: (): Readonly<Record<string, unknown>> => upstream.requests.at(-1)?.json ?? {},
    text: () => upstream.requests.at(-1)?.body.toString("utf8") ?? "",
    call: () => call,
  };
}

const unary = { delivery: "unary" } as const;
const usage = { inputTokens: 7, outputTokens: 3, totalTokens: 10 };

function whole(content: readonly object[] = [{ text: "4" }], rest: object = {}): Script {
  return json(200, {
    output: { message: { role: "assistant", content } },
    stopReason: "end_turn",
    usage,
    metrics: { latencyMs: 1 },
    ...rest,
  });
}

function stream(writes: readonly Write[], options: Omit<Answer, "writes"> = {}): Script {
  return answer({ ...options, writes, headers: { "content-type": "application/vnd.amazon.eventstream" } });
}

const text = (told: string, block = 0) => event("contentBlockDelta", { contentBlockIndex: block, delta: { text: told } });
const begun = event("messageStart", { role: "assistant" });
const stopped = (stopReason: string) => event("messageStop", { stopReason });
const metadata = (told: object = usage) => event("metadata", { usage: told, metrics: { latencyMs: 1 } });

const deltasOf = (events: readonly ModelEvent[]): readonly Delta[] =>
  events.flatMap((found) => (found.type === "batch" ? found.deltas : []));

async function* replayed(events: readonly ModelEvent[]): AsyncGenerator<ModelEvent> {
  yield* events;
}

async function choiceOf(events: readonly ModelEvent[]) {
  return (await collect(replayed(events))).choices[0];
}

const weather = {
  type: "function",
  function: { name: "weather", description: "Tells it.", parameters: { type: "object", properties: {} } },
};
const calling = (id: string, name: string, args: string) => ({ id, type: "function", function: { name, arguments: args } });
const spec = { toolSpec: { name: "weather", description: "Tells it.", inputSchema: { json: { type: "object", properties: {} } } } };
const loop = [
  { role: "user", content: "Weather?" },
  { role: "assistant", content: null, tool_calls: [calling("c1", "weather", '{"n": 12345678901234567890}'), calling("c2", "weather", "")] },
  { role: "tool", tool_call_id: "c1", content: "blue" },
  { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "" }], is_error: true },
];

describe("a signature", () => {
  test("is computed by this test as AWS publishes it", () => {
    // `post-vanilla` of the Signature Version 4 test suite.
    const published = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=${published}`;
    const headers = { host: "example.amazonaws.com", "x-amz-date": "20150830T123600Z", authorization };
    expect(signatureOf({ method: "POST", path: "/", headers, body: Buffer.alloc(0) }, SECRET)).toBe(published);
  });

  test.for([CLAUDE, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3", "odd (name)*!'~ é+%2F"])(
    "A-BED-04 covers the request to %s, whose name is one encoded segment of the path",
    async (model) => {
      const { ask, upstream } = await start(whole(), model, {
        ...signing,
        sessionToken: "session/token==",
        headers: { "X-Amz-Own": "a  b", "x-own": "1" },
      });
      await ask({ messages: [{ role: "user", content: "é😀" }] }, unary);
      const [request] = upstream.requests;
      if (!request) throw new Error("no request");
      expect(request.path).toBe(`/model/${encodeURIComponent(model)}/converse`);
      expect(request.headers).toMatchObject({ "x-amz-security-token": "session/token==", "x-own": "1", "x-chorale-hops": "1" });
      const { authorization = "" } = request.headers;
      expect(authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/us-east-1\/bedrock\/aws4_request, /);
      expect(/SignedHeaders=([^,]+)/.exec(authorization)?.[1]).toBe("host;x-amz-date;x-amz-own;x-amz-security-token");
      expect(/Signature=(\w+)/.exec(authorization)?.[1]).toBe(signatureOf(request, SECRET));
      expect(authorization).not.toContain(SECRET);
    },
  );

  test("is of the time of the call", async () => {
    const { ask, upstream } = await start(whole(), CLAUDE, signing);
    await ask({}, { ...unary, clock: { ...systemClock, wall: () => Date.parse("2026-11-23T09:13:36.789Z") } });
    expect(upstream.requests[0]?.headers["x-amz-date"]).toBe("20261123T091336Z");
  });

  test("is not needed with an API key", async () => {
    const { ask, upstream } = await start(whole());
    await ask({}, unary);
    expect(upstream.requests[0]?.headers).toMatchObject({ authorization: "Bearer bedrock-key" });
    expect(upstream.requests[0]?.headers["x-amz-date"]).toBeUndefined();
  });

  test.each([
    [{}],
    [{ accessKeyId: "A" }],
    [{ secretAccessKey: "A" }],
    [{ ...signing, apiKey: "k" }],
    [{ apiKey: "k", sessionToken: "s", region: "US east" }],
  ])("is refused at boot with %j", (options) => {
    expect(bedrock.options.safeParse({ region: "us-east-1", ...options }).success).toBe(false);
  });
});

describe("a request", () => {
  test("goes to the method of its delivery", async () => {
    const { ask, upstream } = await start(whole());
    for (const delivery of ["unary", "stream", "metered"] as const) await ask({}, { delivery });
    expect(upstream.requests.map(({ path }) => path.split("/").at(-1))).toEqual(["converse", "converse-stream", "converse-stream"]);
    expect(upstream.requests[0]?.json).toEqual({ messages: [{ role: "user", content: [{ text: "What is 2+2?" }] }] });
  });

  test("can not leave the path of models", async () => {
    const { fail, upstream } = await start(whole(), "..");
    expect((await fail()).error?.code).toBe("upstream_model_not_found");
    expect(upstream.requests).toHaveLength(0);
  });

  test("takes turns, with instructions apart", async () => {
    const { ask, sent } = await start(whole());
    await ask(
      {
        messages: [
          { role: "system", content: "Be short." },
          { role: "developer", content: "Be kind." },
          { role: "user", content: "a" },
          {
            role: "user",
            content: [
              { type: "text", text: "b" },
              { type: "text", text: " " },
            ],
          },
          { role: "assistant", content: "c" },
          { role: "system", content: "Now in French." },
          { role: "user", content: "d" },
          { role: "assistant", content: "It is \n" },
        ],
      },
      unary,
    );
    expect(sent()).toEqual({
      system: [{ text: "Be short." }, { text: "Be kind." }],
      messages: [
        { role: "user", content: [{ text: "a" }, { text: "b" }] },
        { role: "assistant", content: [{ text: "c" }] },
        { role: "user", content: [{ text: "Now in French." }, { text: "d" }] },
        { role: "assistant", content: [{ text: "It is" }] },
      ],
    });
    await ask({ messages: [{ role: "system", content: "Say hello." }] }, unary);
    expect(sent()).toEqual({ messages: [{ role: "user", content: [{ text: "Say hello." }] }] });
  });

  test("A-BED-02 carries a round of tools in pairs, all results in one turn, and the tools with it", async () => {
    const { ask, sent, text: body } = await start(whole());
    await ask({ messages: [...loop, { role: "user", content: "And?" }], tools: [weather] }, unary);
    expect(sent()["toolConfig"]).toEqual({ tools: [spec] });
    expect((sent()["messages"] as unknown[]).slice(1)).toEqual([
      {
        role: "assistant",
        content: [
          { toolUse: { toolUseId: "c1", name: "weather", input: { n: Number("12345678901234567890") } } },
          { toolUse: { toolUseId: "c2", name: "weather", input: {} } },
        ],
      },
      {
        role: "user",
        content: [
          { toolResult: { toolUseId: "c1", content: [{ text: "blue" }] } },
          { toolResult: { toolUseId: "c2", content: [{ json: { result: "" } }], status: "error" } },
          { text: "And?" },
        ],
      },
    ]);
    expect(body()).toContain('{"n": 12345678901234567890}');
  });

  test("declares what was called where no tools are given any more", async () => {
    const { ask, sent, call } = await start(whole());
    await ask({ messages: loop }, unary);
    expect(sent()["toolConfig"]).toEqual({
      tools: [{ toolSpec: { name: "weather", inputSchema: { json: { type: "object", properties: {} } } } }],
    });
    await ask({ messages: loop, tools: [weather], tool_choice: "none" }, unary);
    expect(sent()["toolConfig"]).toEqual({ tools: [spec] });
    expect(call().trace.warnings).toEqual([`bed/${CLAUDE} does not take "tool_choice"; it was left out`]);
    await ask({ tools: [weather], tool_choice: "none" }, unary);
    expect(sent()["toolConfig"]).toBeUndefined();
  });

  test.for<readonly [unknown, object]>([
    ["auto", { toolChoice: { auto: {} } }],
    ["required", { toolChoice: { any: {} } }],
    [{ type: "function", function: { name: "weather" } }, { toolChoice: { tool: { name: "weather" } } }],
  ])("A-TOOL-05 chooses tools by %j", async ([choice, config]) => {
    const { ask, sent } = await start(whole());
    await ask({ tools: [weather], tool_choice: choice }, unary);
    expect(sent()["toolConfig"]).toEqual({ tools: [spec], ...config });
  });

  test("gives a call the id that the model wants, the same in call and result", async () => {
    const { ask, sent } = await start(whole(), "mistral.mistral-large-2407-v1:0");
    await ask({ messages: loop }, unary);
    const [, assistant, user] = sent()["messages"] as { content: Record<string, { toolUseId: string }>[] }[];
    const ids = assistant?.content.map((block) => block["toolUse"]?.toolUseId) ?? [];
    expect(ids.every((id) => /^[a-zA-Z0-9]{9}$/.test(id ?? ""))).toBe(true);
    expect(new Set(ids).size).toBe(2);
    expect(user?.content.map((block) => block["toolResult"]?.toolUseId)).toEqual(ids);
  });

  test("carries images and documents; A-MM-01 as bytes with a format", async () => {
    const { ask, sent } = await start(whole());
    const pdf = { type: "file", file: { filename: "my_file v1.pdf", file_data: "data:application/pdf;base64,JVBE" } };
    const content = [{ type: "image_url", image_url: { url: "data:image/png;base64,iVBO" } }, pdf, pdf];
    await ask({ messages: [{ role: "user", content }] }, unary);
    expect(sent()["messages"]).toEqual([
      {
        role: "user",
        content: [
          { image: { format: "png", source: { bytes: "iVBO" } } },
          { text: "Attached: my-file v1, my-file v1 (2)" },
          { document: { format: "pdf", name: "my-file v1", source: { bytes: "JVBE" } } },
          { document: { format: "pdf", name: "my-file v1 (2)", source: { bytes: "JVBE" } } },
        ],
      },
    ]);
  });

  test("tells hints for the cache", async () => {
    const { ask, sent } = await start(whole());
    await ask(
      {
        messages: [
          { role: "system", content: [{ type: "text", text: "Long.", cache_control: { type: "ephemeral", ttl: "1h" } }] },
          {
            role: "user",
            content: [
              { type: "text", text: "a", prompt_cache_breakpoint: { mode: "explicit" } },
              { type: "text", text: "b" },
            ],
          },
        ],
        tools: [{ ...weather, cache_control: { type: "ephemeral" } }],
      },
      unary,
    );
    expect(sent()).toEqual({
      system: [{ text: "Long." }, { cachePoint: { type: "default", ttl: "1h" } }],
      messages: [{ role: "user", content: [{ text: "a" }, { cachePoint: { type: "default" } }, { text: "b" }] }],
      toolConfig: { tools: [spec, { cachePoint: { type: "default" } }] },
    });
  });

  test("names its settings as Converse does; A-PAR-03 stop as a list", async () => {
    const { ask, sent, call } = await start(whole());
    await ask(
      { temperature: 0.5, top_p: 0.9, top_k: 40, stop: "x", max_tokens: 7, max_completion_tokens: 5, service_tier: "fast", seed: 7 },
      unary,
    );
    expect(sent()).toMatchObject({
      inferenceConfig: { maxTokens: 5, temperature: 0.5, topP: 0.9, stopSequences: ["x"] },
      additionalModelRequestFields: { top_k: 40 },
      serviceTier: { type: "priority" },
    });
    expect(call().trace.warnings).toEqual([`bed/${CLAUDE} does not take "seed"; it was left out`]);
  });

  test("sends a schema closed, in the words that are enforced, and tells the rest in its description", async () => {
    const { ask, sent } = await start(whole());
    const schema = { $schema: "x", type: "object", properties: { age: { type: "integer", minimum: 0 } }, required: ["age"] };
    const strict = { type: "function", function: { name: "weather", parameters: schema, strict: true } };
    await ask({ response_format: { type: "json_schema", json_schema: { name: "who", schema } }, tools: [strict] }, unary);
    const closed = {
      type: "object",
      properties: { age: { type: "integer", description: "minimum: 0" } },
      required: ["age"],
      additionalProperties: false,
    };
    const { textFormat } = sent()["outputConfig"] as {
      textFormat: { type: string; structure: { jsonSchema: { name: string; schema: string } } };
    };
    expect([textFormat.type, textFormat.structure.jsonSchema.name]).toEqual(["json_schema", "who"]);
    expect(JSON.parse(textFormat.structure.jsonSchema.schema)).toEqual(closed);
    expect(sent()["toolConfig"]).toEqual({ tools: [{ toolSpec: { name: "weather", inputSchema: { json: closed }, strict: true } }] });
    await ask({ response_format: { type: "json_object" } }, unary);
    expect(sent()["system"]).toEqual([{ text: expect.stringContaining("JSON object") as string }]);
  });

  test.for<readonly [string, Partial<ChatBody>, object | undefined, readonly string[]]>([
    [CLAUDE, { reasoning_effort: "low" }, undefined, ["reasoning_effort"]],
    [
      "us.anthropic.claude-sonnet-4-20250514-v1:0",
      { reasoning_effort: "high", max_tokens: 4000, temperature: 0.5 },
      { inferenceConfig: { maxTokens: 4000 }, additionalModelRequestFields: { thinking: { type: "enabled", budget_tokens: 3999 } } },
      ["temperature"],
    ],
    [
      "anthropic.claude-3-7-sonnet-20250219-v1:0",
      { reasoning_effort: "low", max_tokens: 900 },
      { inferenceConfig: { maxTokens: 900 } },
      ["reasoning_effort"],
    ],
    [
      "anthropic.claude-opus-4-6-v1",
      { reasoning_effort: "max" },
      { outputConfig: { effort: "max" }, additionalModelRequestFields: { thinking: { type: "adaptive" } } },
      [],
    ],
    [
      "anthropic.claude-opus-4-6-v1",
      { reasoning_effort: "none" },
      { additionalModelRequestFields: { thinking: { type: "disabled" } } },
      [],
    ],
    ["anthropic.claude-opus-4-8-v1", { temperature: 0.2 }, {}, ["temperature"]],
    ["anthropic.claude-sonnet-4-5-v1:0", { reasoning_effort: "low", messages: loop, tools: [weather] }, undefined, ["reasoning_effort"]],
    [
      "anthropic.claude-sonnet-4-5-v1:0",
      { reasoning_effort: "low", messages: [...loop, { role: "assistant", content: "Blue." }, { role: "user", content: "And?" }] },
      { additionalModelRequestFields: { thinking: { type: "enabled", budget_tokens: 2048 } } },
      [],
    ],
    [
      "anthropic.claude-opus-4-6-v1",
      { reasoning_effort: "low", tools: [weather], tool_choice: "required" },
      undefined,
      ["reasoning_effort"],
    ],
    [
      "anthropic.claude-opus-4-6-v1",
      { reasoning_effort: "low", messages: loop, tools: [weather] },
      { outputConfig: { effort: "low" }, additionalModelRequestFields: { thinking: { type: "adaptive" } } },
      [],
    ],
    [
      "us.amazon.nova-2-lite-v1:0",
      { reasoning_effort: "max" },
      { additionalModelRequestFields: { reasoningConfig: { type: "enabled", maxReasoningEffort: "high" } } },
      [],
    ],
    ["openai.gpt-oss-120b-1:0", { reasoning_effort: "minimal" }, { additionalModelRequestFields: { reasoning_effort: "low" } }, []],
    ["meta.llama3-70b-instruct-v1:0", { reasoning_effort: "low", top_k: 5 }, {}, ["reasoning_effort", "top_k"]],
  ])("A-RSN-03 tells %s how to think for %j", async ([model, fields, expected, left]) => {
    const { ask, sent, call } = await start(whole(), model);
    await ask(fields, unary);
    const { messages: _, toolConfig: __, ...rest } = sent();
    expect(rest).toEqual(expected ?? {});
    expect(call().trace.warnings.map((warning) => /"(.*)"/.exec(warning)?.[1])).toEqual(left);
  });

  test.for<readonly [Partial<ChatBody>, string]>([
    [{ logprobs: true }, "logprobs"],
    [{ logit_bias: { "5": 1 } }, "logit_bias"],
    [{ modalities: ["audio"] }, "modalities"],
    [{ web_search_options: { search_context_size: "low" } }, "web_search_options"],
    [{ tools: [{ type: "custom", custom: { name: "x" } }] }, "tools[0].type"],
    [{ tools: [weather, { type: "web_search" }] }, "tools[1].type"],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://a.example/b.png" } }] }] },
      "messages[0].content[0].image_url.url",
    ],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/bmp;base64,Qk0=" } }] }] },
      "messages[0].content[0].image_url.url",
    ],
    [{ messages: [{ role: "user", content: [{ type: "file", file: { file_id: "file-1" } }] }] }, "messages[0].content[0].file.file_id"],
    [
      { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "x", format: "wav" } }] }] },
      "messages[0].content[0].input_audio",
    ],
    [
      {
        messages: [
          { role: "user", content: "a" },
          { role: "assistant", content: "b", audio: { id: "x" } },
          { role: "user", content: "c" },
        ],
      },
      "messages[1].audio",
    ],
  ])("A-LOG-03, A-MM-02 refuses %j by name, before anything is sent", async ([fields, param]) => {
    const { fail, upstream } = await start(whole());
    expect((await fail(fields)).error).toMatchObject({ code: "incapable", details: { param } });
    expect(upstream.requests).toHaveLength(0);
  });
});

describe("an answer", () => {
  test("is read whole; cached tokens are added to the input", async () => {
    const told = { inputTokens: 10, cacheReadInputTokens: 100, cacheWriteInputTokens: 20, outputTokens: 7, totalTokens: 137 };
    const { ask } = await start(whole([{ text: "It is " }, { text: "4." }], { usage: told }));
    expect(await ask({}, unary)).toEqual([
      {
        type: "finish",
        usage: { promptTokens: 130, cachedTokens: 100, cacheWriteTokens: 20, completionTokens: 7 },
        completion: {
          usage: { promptTokens: 130, cachedTokens: 100, cacheWriteTokens: 20, completionTokens: 7 },
          choices: [{ index: 0, finishReason: "stop", logprobs: null, message: { role: "assistant", content: "It is 4.", refusal: null } }],
        },
      },
    ]);
  });

  const written = [
    begun,
    event("contentBlockDelta", { contentBlockIndex: 0, delta: { reasoningContent: { text: "Hm." } } }),
    event("contentBlockDelta", { contentBlockIndex: 0, delta: { reasoningContent: { signature: "c2ln" } } }),
    event("contentBlockStop", { contentBlockIndex: 0 }),
    text("It is é😀", 1),
    event("contentBlockStop", { contentBlockIndex: 1 }),
    event("contentBlockStart", { contentBlockIndex: 2, start: { toolUse: { toolUseId: "t1", name: "weather" } } }),
    event("contentBlockDelta", { contentBlockIndex: 2, delta: { toolUse: { input: '{"n": 123456789' } } }),
    event("contentBlockDelta", { contentBlockIndex: 2, delta: { toolUse: { input: "01234567890}" } } }),
    event("contentBlockStop", { contentBlockIndex: 2 }),
    event("contentBlockStart", { contentBlockIndex: 3, start: { toolUse: { toolUseId: "t2", name: "clock" } } }),
    event("contentBlockStop", { contentBlockIndex: 3 }),
    event("somethingNew", { a: 1 }),
    stopped("tool_use"),
    metadata(),
  ];
  const details = [{ type: "reasoning.text", text: "Hm.", signature: "c2ln", format: "anthropic-claude-v1", index: 0 }];
  const all: readonly Delta[] = [
    { type: "reasoning", choice: 0, text: "Hm." },
    { type: "text", choice: 0, text: "It is é😀" },
    { type: "tool-call", choice: 0, index: 0, id: "t1", name: "weather", text: "" },
    { type: "tool-call", choice: 0, index: 0, text: '{"n": 123456789' },
    { type: "tool-call", choice: 0, index: 0, text: "01234567890}" },
    { type: "tool-call", choice: 0, index: 1, id: "t2", name: "clock", text: "" },
    { type: "tool-call", choice: 0, index: 1, text: "{}" },
    { type: "extra", choice: 0, fields: { reasoning_details: details } },
    { type: "end", choice: 0, reason: "tool_calls" },
  ];

  test("A-BED-01 is streamed, with the usage that comes behind its end", async () => {
    const { ask } = await start(stream(written));
    const events = await ask();
    expect(deltasOf(events)).toEqual(all);
    expect(events.at(-1)).toEqual({ type: "finish", usage: { promptTokens: 7, completionTokens: 3 } });
    const late = await start(stream([...written.slice(0, -1), 30, metadata()]));
    expect((await late.ask()).at(-1)).toEqual({ type: "finish", usage: { promptTokens: 7, completionTokens: 3 } });
  });

  test("is the same however its bytes are split", () => {
    const bytes = Buffer.concat(written);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 40 }), (cuts) => {
        const reader = new ConverseStream({ upstream: "bed/a", callId: "chatcmpl-1", format: "anthropic-claude-v1" });
        const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        const found = at.slice(1).flatMap((end, i) => reader.read(bytes.subarray(at[i], end)));
        expect([...found, ...reader.end()]).toEqual(all);
        expect([reader.done, reader.usage]).toEqual([true, { promptTokens: 7, completionTokens: 3 }]);
      }),
    );
  });

  test("is folded where it is metered", async () => {
    const { ask } = await start(stream(written));
    expect(await ask({}, { delivery: "metered" })).toMatchObject([
      {
        type: "finish",
        usage: { promptTokens: 7 },
        completion: { choices: [{ finishReason: "tool_calls", message: { reasoning_content: "Hm.", reasoning_details: details } }] },
      },
    ]);
  });

  test("tells one call to its end before the next, whatever comes between", async () => {
    const begin = (block: number, id: string) =>
      event("contentBlockStart", { contentBlockIndex: block, start: { toolUse: { toolUseId: id, name: "f" } } });
    const more = (block: number, input: string) => event("contentBlockDelta", { contentBlockIndex: block, delta: { toolUse: { input } } });
    const stop = (block: number) => event("contentBlockStop", { contentBlockIndex: block });
    const { ask } = await start(
      stream([
        begun,
        begin(0, "a"),
        begin(1, "b"),
        more(1, "{"),
        more(0, "{"),
        more(1, "}"),
        stop(1),
        more(0, "}"),
        stop(0),
        begin(2, "c"),
        more(2, "{}"),
        stopped("tool_use"),
      ]),
    );
    const told = deltasOf(await ask()).map((delta) =>
      delta.type === "tool-call" ? `${delta.index}${delta.id ?? ""}${delta.text}` : delta.type,
    );
    expect(told).toEqual(["0a", "0{", "0}", "1b", "1{", "1}", "2c", "2{}", "end"]);
  });

  test("brings thoughts that go back on the next turn, and no others do", async () => {
    const content = [
      { reasoningContent: { reasoningText: { text: "Hm.", signature: "c2ln" } } },
      { reasoningContent: { redactedContent: "cmVk" } },
      { toolUse: { toolUseId: "t1", name: "weather", input: { city: "Bonn" } } },
    ];
    const { ask, sent } = await start(whole(content, { stopReason: "tool_use" }));
    const choice = await choiceOf(await ask({}, unary));
    expect(choice?.message.reasoning_content).toBe("Hm.");
    const foreign = { type: "reasoning.text", text: "x", signature: "y", format: "other-v1", index: 2 };
    const kept = choice?.message["reasoning_details"] as readonly object[];
    const messages = [
      { role: "user", content: "Weather?" },
      { ...choice?.message, role: "assistant", reasoning_details: [...kept, foreign] },
      { role: "tool", tool_call_id: "t1", content: "blue" },
    ];
    await ask({ messages, tools: [weather] }, unary);
    expect((sent()["messages"] as unknown[])[1]).toEqual({ role: "assistant", content });
  });

  test("has its thoughts remembered for a client that does not send them back", async () => {
    const content = [
      { reasoningContent: { reasoningText: { text: "Hm.", signature: "c2ln" } } },
      { toolUse: { toolUseId: "t1", name: "weather", input: {} } },
    ];
    const model = "anthropic.claude-sonnet-4-5-v1:0";
    for (const script of [whole(content, { stopReason: "tool_use" }), stream(written)]) {
      const { ask, sent, call } = await start(script, model);
      await ask({}, unary);
      const messages = [
        { role: "user", content: "Weather?" },
        { role: "assistant", content: null, tool_calls: [calling("t1", "weather", "{}")] },
        { role: "tool", tool_call_id: "t1", content: "blue" },
      ];
      await ask({ messages, tools: [weather], reasoning_effort: "low" }, { ...unary, principal: { name: "team-b" } });
      expect([(sent()["messages"] as unknown[])[1], call().trace.warnings.length]).toEqual([
        { role: "assistant", content: content.slice(1) },
        1,
      ]);
      await ask({ messages, tools: [weather], reasoning_effort: "low" }, unary);
      expect([(sent()["messages"] as unknown[])[1], call().trace.warnings.length]).toEqual([{ role: "assistant", content }, 0]);
      expect(sent()["additionalModelRequestFields"]).toEqual({ thinking: { type: "enabled", budget_tokens: 2048 } });
    }
  });

  test("has its thoughts remembered for models of its own maker only", async () => {
    const content = [
      { reasoningContent: { reasoningText: { text: "Hm.", signature: "c2ln" } } },
      { toolUse: { toolUseId: "t1", name: "weather", input: {} } },
    ];
    const { ask, sent, instance } = await start(whole(content, { stopReason: "tool_use" }), "anthropic.claude-sonnet-4-5-v1:0");
    await ask({}, unary);
    const messages = [
      { role: "user", content: "Weather?" },
      { role: "assistant", content: null, tool_calls: [calling("t1", "weather", "{}")] },
      { role: "tool", tool_call_id: "t1", content: "blue" },
    ];
    for (const [model, expected] of [
      ["us.amazon.nova-2-lite-v1:0", content.slice(1)],
      ["anthropic.claude-opus-4-6-v1", content],
    ] as const) {
      await read(instance.chat(model).stream(newRequest({ messages, tools: [weather] }), newCall({ clock: systemClock, ...unary })));
      expect((sent()["messages"] as unknown[])[1]).toEqual({ role: "assistant", content: expected });
    }
  });

  test("keeps the digits of a call's arguments", async () => {
    const body = JSON.stringify({
      output: { message: { content: [{ toolUse: { toolUseId: "t", name: "f", input: { n: 0 } } }] } },
      stopReason: "tool_use",
      usage,
    });
    const { ask } = await start(json(200, body.replace('"n":0', '"n":12345678901234567890')));
    const choice = await choiceOf(await ask({}, unary));
    expect(choice?.message.tool_calls?.[0]?.function?.arguments).toBe('{"n":12345678901234567890}');
  });

  test.for<readonly [string, string]>([
    ["end_turn", "stop"],
    ["stop_sequence", "stop"],
    ["max_tokens", "length"],
    ["model_context_window_exceeded", "length"],
    ["tool_use", "tool_calls"],
    ["content_filtered", "content_filter"],
    ["guardrail_intervened", "content_filter"],
    ["something_new", "stop"],
  ])("that ended by %s ended by %s", async ([stopReason, reason]) => {
    const { ask } = await start(whole([{ text: "4" }], { stopReason }));
    expect((await choiceOf(await ask({}, unary)))?.finishReason).toBe(reason);
    const streamed = await start(stream([begun, text("4"), stopped(stopReason), metadata()]));
    expect(deltasOf(await streamed.ask()).at(-1)).toMatchObject({ type: "end", reason });
  });

  test.for(["malformed_model_output", "malformed_tool_use"])(
    "that ended by %s is a failure that may be tried again",
    async (stopReason) => {
      for (const script of [whole([], { stopReason }), stream([begun, stopped(stopReason)])]) {
        const { error } = await (await start(script)).fail();
        expect([error?.code, error?.retry]).toEqual(["upstream_error", true]);
      }
    },
  );
});

describe("a failure", () => {
  test.for<readonly [number, string, string, string, number]>([
    [400, "ValidationException", "Malformed input", "upstream_invalid", 400],
    [400, "ValidationException", "Input is too long for requested model.", "context_length_exceeded", 400],
    [403, "AccessDeniedException", "no", "upstream_auth", 502],
    [403, "ExpiredTokenException", "no", "upstream_auth", 502],
    [404, "ResourceNotFoundException", "no model", "upstream_model_not_found", 404],
    [408, "ModelTimeoutException", "late", "upstream_timeout", 504],
    [424, "ModelErrorException", "oh", "upstream_error", 502],
    [429, "ThrottlingException", "Too many requests", "upstream_rate_limited", 429],
    [429, "ModelNotReadyException", "wait", "upstream_overloaded", 503],
    [400, "ServiceQuotaExceededException", "quota", "upstream_quota", 429],
    [500, "InternalServerException", "oh", "upstream_error", 502],
    [503, "ServiceUnavailableException", "busy", "upstream_overloaded", 503],
    [418, "NewException", "?", "upstream_invalid", 400],
  ])("A-BED-03 %i %s is told by our table", async ([status, type, message, code, told]) => {
    const inHeader = json(status, { message }, { "x-amzn-errortype": `${type}:http://internal.amazon.com/coral/` });
    const inBody = json(status, { __type: `com.amazon.coral#${type}`, Message: message });
    for (const script of [inHeader, inBody]) {
      const { error } = await (await start(script)).fail();
      expect([error?.code, error?.status, error?.details.upstreamStatus]).toEqual([code, told, status]);
    }
  });

  test("passes on when to come back", async () => {
    const { fail } = await start(json(429, { message: "slow" }, { "x-amzn-errortype": "ThrottlingException", "retry-after": "3" }));
    expect((await fail()).error?.details.retryAfterMs).toBe(3000);
  });

  test("tells no host, no key and no account", async () => {
    const message =
      "The model arn:aws:bedrock:us-east-1:123456789012:model/x at https://bedrock-runtime.us-east-1.amazonaws.com is bad: Bearer abcdef";
    for (const type of ["ValidationException", "AccessDeniedException", "InternalServerException"]) {
      const { error } = await (await start(json(400, { message }, { "x-amzn-errortype": type }))).fail();
      expect(`${error?.message} ${error?.wire.message}`).not.toMatch(/123456789012|amazonaws|abcdef|127\.0/);
    }
  });

  test.for<readonly [Uint8Array, string, number]>([
    [exception("throttlingException", "slow down"), "upstream_rate_limited", 429],
    [exception("modelStreamErrorException", "oh"), "upstream_error", 502],
    [exception("internalServerException", "oh"), "upstream_error", 502],
    [exception("serviceUnavailableException", "busy"), "upstream_overloaded", 503],
    [exception("validationException", "input is too long"), "context_length_exceeded", 400],
    [exception("newException", "?"), "upstream_error", 502],
    [streamError("InternalFailure", "oh"), "upstream_error", 502],
  ])("A-BED-03 an exception inside a stream, case %#, comes behind what was said", async ([frame, code, status]) => {
    for (const writes of [
      [begun, Buffer.concat([text("a"), frame])],
      [begun, text("a"), 5, frame],
    ]) {
      const { fail, call } = await start(stream(writes));
      const { events, error } = await fail();
      expect(deltasOf(events)).toEqual([{ type: "text", choice: 0, text: "a" }]);
      expect([error?.code, error?.status]).toEqual([code, status]);
      expect(call().span).toMatchObject({ sent: true, estimated: true, usage: { completionTokens: 1 } });
    }
    expect((await (await start(stream([frame]))).fail()).error?.code).toBe(code);
  });

  test("a rate limit inside a stream is one on the wire", async () => {
    const { error } = await (await start(stream([begun, exception("throttlingException", "slow down")]))).fail();
    expect(error?.wire).toEqual({ message: "slow down", type: "requests", param: null, code: "rate_limit_exceeded" });
  });

  test("bytes that were changed on the way are no answer", async () => {
    const changed = Buffer.from(text("a"));
    changed[changed.length - 8] = (changed[changed.length - 8] ?? 0) ^ 1;
    const { events, error } = await (await start(stream([begun, text("b"), 5, changed]))).fail();
    expect([deltasOf(events).length, error?.code]).toEqual([1, "upstream_protocol"]);
  });

  test("a call that is over closes its socket, and is billed for what it wrote", async () => {
    const { upstream, instance } = await start(stream([begun, text("a"), text("b")], { ending: "stall" }));
    const over = new AbortController();
    const call = newCall({ clock: systemClock, signal: over.signal });
    const events = instance.chat(CLAUDE).stream(newRequest(), call);
    expect(upstream.requests).toHaveLength(0);
    const failed = (async () => {
      for await (const found of events) if (found.type === "batch") over.abort(new GatewayError("client_closed", "The client has left."));
    })();
    await expect(failed).rejects.toMatchObject({ code: "client_closed" });
    expect((await (await upstream.request(0)).closed).complete).toBe(false);
    expect(call.span).toMatchObject({ sent: true, estimated: true });
  });

  test("an answer that was cut is none, one that had ended is whole", async () => {
    const open = await (await start(stream([begun, text("a")], { ending: "cut" }))).fail();
    expect(open.error?.code).toBe("upstream_unreachable");
    const quiet = await (await start(stream([begun, text("a")]))).fail();
    expect(quiet.error?.code).toBe("upstream_protocol");
    const ended = await (await start(stream([begun, text("a"), stopped("end_turn")], { ending: "cut" }))).ask();
    expect(ended.at(-1)).toEqual({ type: "finish" });
    const behind = await (await start(stream([begun, text("a"), stopped("end_turn"), "garbage that is no frame"]))).ask();
    expect(behind.at(-1)).toEqual({ type: "finish" });
    const none = await (await start(json(200, {}))).fail();
    expect(none.error?.code).toBe("upstream_protocol");
  });
});

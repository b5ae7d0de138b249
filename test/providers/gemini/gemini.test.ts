import * as fc from "../../support/properties.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { systemClock } from "../../../src/model/clock.ts";
import { collect } from "../../../src/model/collect.ts";
import type { Delta, ModelEvent } from "../../../src/model/events.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import { gemini } from "../../../src/providers/gemini.ts";
import { ResponseStream } from "../../../src/providers/gemini/stream.ts";
import { openPools } from "../../../src/upstream/pools.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { read } from "../../support/read.ts";
import { cut, json, sse, startUpstream, type Script } from "../../support/upstream.ts";

const MODEL = "gemini-2.5-flash";

interface Started {
  readonly ask: (fields?: Partial<ChatBody>, given?: Partial<Call>) => Promise<readonly ModelEvent[]>;
  readonly fail: (fields?: Partial<ChatBody>, given?: Partial<Call>) => ReturnType<typeof read>;
  /** The body of the last request. */
  readonly sent: () => Readonly<Record<string, unknown>>;
  readonly text: () => string;
  readonly path: () => string | undefined;
  readonly header: (name: string) => unknown;
  readonly call: () => Call;
}

async function start(script: Script, model = MODEL): Promise<Started> {
  const upstream = await startUpstream({ "*": script }, onTestFinished);
  const pools = openPools();
  onTestFinished(() => pools.close());
  const instance = await gemini.build(gemini.options.parse({ baseUrl: `${upstream.origin}/v1beta`, apiKey: "AIzaKey" }), {
    name: "gem",
    pools,
    clock: systemClock,
  });
  let call: Call = newCall();
  const run = (fields: Partial<ChatBody> = {}, given: Partial<Call> = {}) => {
    call = newCall({ clock: systemClock, ...given });
    return read(instance.chat(model).stream(newRequest(fields), call));
  };
  const last = () => upstream.requests.at(-1);
  return {
    ask: async (fields, given) => {
      const { events, error } = await run(fields, given);
      if (error) throw error;
      return events;
    },
    fail: run,
    sent: () => last()?.json ?? {},
    text: () => last()?.body.toString("utf8") ?? "",
    path: () => last()?.path,
    header: (name) => last()?.headers[name],
    call: () => call,
  };
}

const usageMetadata = { promptTokenCount: 7, candidatesTokenCount: 3, totalTokenCount: 10 };

function response(parts: readonly object[], rest: object = {}, candidate: object = {}): object {
  return {
    candidates: [{ content: { role: "model", parts }, index: 0, ...candidate }],
    modelVersion: MODEL,
    responseId: "resp-1",
    ...rest,
  };
}

const event = (value: unknown) => `data: ${JSON.stringify(value)}\r\n\r\n`;
const whole = (text = "4") => response([{ text }], { usageMetadata }, { finishReason: "STOP" });
const okay = json(200, whole());

/** The deltas of a stream, in order. */
const deltasOf = (events: readonly ModelEvent[]): readonly Delta[] =>
  events.flatMap((found) => (found.type === "batch" ? found.deltas : []));

async function* replayed(events: readonly ModelEvent[]): AsyncGenerator<ModelEvent> {
  yield* events;
}

const unary = { delivery: "unary" } as const;

const weather = {
  type: "function",
  function: { name: "weather", description: "Tells it.", parameters: { type: "object", properties: {} } },
};
const calling = (id: string, name: string, args: string, extra: object = {}) => ({
  id,
  type: "function",
  function: { name, arguments: args },
  ...extra,
});

const user = (content: string) => ({ role: "user", content });

describe("a request", () => {
  test("goes to the method of its delivery, with the key in a header and not in the address", async () => {
    const started = await start(okay);
    await started.ask({}, unary);
    expect(started.path()).toBe(`/v1beta/models/${MODEL}:generateContent`);
    expect(started.header("x-goog-api-key")).toBe("AIzaKey");
    await started.ask();
    expect(started.path()).toBe(`/v1beta/models/${MODEL}:streamGenerateContent?alt=sse`);
    await started.ask({}, { delivery: "metered" });
    expect(started.path()).toBe(`/v1beta/models/${MODEL}:streamGenerateContent?alt=sse`);
    expect(started.sent()).toEqual({ contents: [{ role: "user", parts: [{ text: "What is 2+2?" }] }] });
  });

  test("can not leave the path of models", async () => {
    const started = await start(okay, "../x?y#z");
    await started.ask({}, unary);
    expect(started.path()).toBe("/v1beta/%2E%2E/x%3Fy%23z:generateContent");
  });

  test("A-GEM-01 tells roles, instructions, calls and results in Gemini's words", async () => {
    const started = await start(okay);
    await started.ask(
      {
        messages: [
          { role: "system", content: "Be short." },
          { role: "developer", content: [{ type: "text", text: "Be kind." }] },
          { role: "user", content: "Weather?" },
          {
            role: "assistant",
            content: "I look.",
            tool_calls: [calling("c1", "weather", '{"city":"Bonn"}'), calling("c2", "clock", "")],
          },
          { role: "tool", tool_call_id: "c1", content: '{"sky": "blue", "n": 12345678901234567890}' },
          { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "noon" }] },
          { role: "user", content: "And?" },
          { role: "system", content: "Now in French." },
        ],
      },
      unary,
    );
    expect(started.sent()).toEqual({
      systemInstruction: { parts: [{ text: "Be short." }, { text: "Be kind." }] },
      contents: [
        { role: "user", parts: [{ text: "Weather?" }] },
        {
          role: "model",
          parts: [
            { text: "I look." },
            { functionCall: { id: "c1", name: "weather", args: { city: "Bonn" } } },
            { functionCall: { id: "c2", name: "clock", args: {} } },
          ],
        },
        {
          role: "user",
          parts: [
            { functionResponse: { id: "c1", name: "weather", response: { sky: "blue", n: Number("12345678901234567890") } } },
            { functionResponse: { id: "c2", name: "clock", response: { result: "noon" } } },
          ],
        },
        { role: "user", parts: [{ text: "And?" }] },
        { role: "user", parts: [{ text: "Now in French." }] },
      ],
    });
    expect(started.text()).toContain('"n": 12345678901234567890');
  });

  test("asks an instruction that stands alone", async () => {
    const started = await start(okay);
    await started.ask({ messages: [{ role: "system", content: "Say hello." }] }, unary);
    expect(started.sent()).toEqual({ contents: [{ role: "user", parts: [{ text: "Say hello." }] }] });
  });

  test("keeps the turn of a user who says nothing, so that the model does not go on with its own words", async () => {
    const started = await start(okay);
    await started.ask({ messages: [user("x"), { role: "assistant", content: "y" }, user("")] }, unary);
    expect(started.sent()["contents"]).toEqual([
      { role: "user", parts: [{ text: "x" }] },
      { role: "model", parts: [{ text: "y" }] },
      { role: "user", parts: [{ text: "" }] },
    ]);
    await started.ask({ messages: [{ role: "system", content: "Be short." }, user("")] }, unary);
    expect(started.sent()).toEqual({
      systemInstruction: { parts: [{ text: "Be short." }] },
      contents: [{ role: "user", parts: [{ text: "" }] }],
    });
  });

  test("has somebody ask before a call, which is refused without", async () => {
    const started = await start(okay);
    const made = { role: "assistant", content: null, tool_calls: [calling("c1", "clock", "{}")] };
    await started.ask({ messages: [made, { role: "tool", tool_call_id: "c1", content: "noon" }] }, unary);
    expect((started.sent()["contents"] as { role: string; parts: object[] }[]).map(({ role, parts }) => [role, parts.length])).toEqual([
      ["user", 1],
      ["model", 1],
      ["user", 1],
    ]);
    await started.ask({ messages: [{ role: "assistant", content: "Hi." }, user("x")] }, unary);
    expect((started.sent()["contents"] as object[])[0]).toEqual({ role: "model", parts: [{ text: "Hi." }] });
  });

  test("tells calls of one id apart, each with its result", async () => {
    const started = await start(okay);
    const round = [
      { role: "assistant", content: null, tool_calls: [calling("call_0", "f", "{}"), calling("call_1", "g", "{}")] },
      { role: "tool", tool_call_id: "call_1", content: "b" },
      { role: "tool", tool_call_id: "call_0", content: "a" },
    ];
    const legacy = [
      { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
      { role: "function", name: "f", content: "c" },
    ];
    await started.ask({ messages: [user("x"), ...round, ...round, ...legacy, ...legacy] }, unary);
    const ids = (kind: "functionCall" | "functionResponse") =>
      (started.sent()["contents"] as { parts: Readonly<Record<string, { id: string }>>[] }[])
        .map(({ parts }) => parts.flatMap((part) => part[kind]?.id ?? []))
        .filter((found) => found.length > 0);
    expect(ids("functionCall")).toEqual([["call_0", "call_1"], ["call_0_2", "call_1_2"], ["function_f"], ["function_f_2"]]);
    expect(ids("functionResponse")).toEqual([["call_1", "call_0"], ["call_1_2", "call_0_2"], ["function_f"], ["function_f_2"]]);
  });

  test.for<readonly [unknown, object | undefined]>([
    [["", "\n", "x"], { stopSequences: ["\n", "x"] }],
    ["", undefined],
    [[""], undefined],
  ])("stops at no empty text: %j", async ([stop, config]) => {
    const started = await start(okay);
    await started.ask({ stop }, unary);
    expect([started.sent()["generationConfig"], started.call().trace.warnings]).toEqual([config, []]);
  });

  test("carries images, audio and files; A-MM-01 as inlineData", async () => {
    const started = await start(okay);
    const content = [
      { type: "text", text: "What?" },
      { type: "image_url", image_url: { url: "data:image/png;base64,iVBO", detail: "high" } },
      { type: "image_url", image_url: { url: "https://pictures.example/a.JPG?x=1" } },
      { type: "input_audio", input_audio: { data: "UklG", format: "wav" } },
      { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBE" } },
    ];
    await started.ask({ messages: [{ role: "user", content }] }, unary);
    expect(started.sent()["contents"]).toEqual([
      {
        role: "user",
        parts: [
          { text: "What?" },
          { inlineData: { mimeType: "image/png", data: "iVBO" } },
          { fileData: { fileUri: "https://pictures.example/a.JPG?x=1", mimeType: "image/jpeg" } },
          { inlineData: { mimeType: "audio/wav", data: "UklG" } },
          { inlineData: { mimeType: "application/pdf", data: "JVBE" } },
        ],
      },
    ]);
    expect(started.call().trace.warnings).toEqual([`gem/${MODEL} does not take "image_url.detail"; it was left out`]);
  });

  test("carries an image inside a tool's result", async () => {
    const started = await start(okay);
    await started.ask(
      {
        messages: [
          { role: "user", content: "Draw." },
          { role: "assistant", content: null, tool_calls: [calling("c1", "draw", "{}")] },
          { role: "tool", tool_call_id: "c1", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,iVBO" } }] },
        ],
      },
      unary,
    );
    expect((started.sent()["contents"] as unknown[])[2]).toEqual({
      role: "user",
      parts: [
        {
          functionResponse: {
            id: "c1",
            name: "draw",
            response: { result: "" },
            parts: [{ inlineData: { mimeType: "image/png", data: "iVBO" } }],
          },
        },
      ],
    });
  });

  test("names its settings as Gemini does; A-PAR-03 stop as a list", async () => {
    const started = await start(okay);
    await started.ask(
      {
        temperature: 0.5,
        top_p: 0.9,
        top_k: 40,
        seed: 7,
        n: 2,
        stop: "x",
        presence_penalty: 1,
        frequency_penalty: -1,
        max_tokens: 7,
        max_completion_tokens: 5,
        logprobs: true,
        top_logprobs: 2,
        reasoning_effort: "low",
      },
      unary,
    );
    expect(started.sent()["generationConfig"]).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      seed: 7,
      candidateCount: 2,
      stopSequences: ["x"],
      presencePenalty: 1,
      frequencyPenalty: -1,
      maxOutputTokens: 5,
      responseLogprobs: true,
      logprobs: 2,
      thinkingConfig: { thinkingBudget: 1024, includeThoughts: true },
    });
  });

  test("folds a seed of more than 32 bits, always to the same one", async () => {
    const started = await start(okay);
    await started.ask({ seed: 2 ** 31 + 5 }, unary);
    expect(started.sent()["generationConfig"]).toEqual({ seed: 5 });
  });

  test.for<readonly [string, string, object | undefined]>([
    ["gemini-2.5-flash", "none", { thinkingBudget: 0 }],
    ["gemini-2.5-pro", "none", { thinkingBudget: 128 }],
    ["gemini-2.5-pro", "max", { thinkingBudget: 24_576, includeThoughts: true }],
    ["gemini-3-flash-preview", "minimal", { thinkingLevel: "MINIMAL", includeThoughts: true }],
    ["gemini-3-pro-preview", "medium", { thinkingLevel: "HIGH", includeThoughts: true }],
    ["gemini-3.1-pro", "medium", { thinkingLevel: "MEDIUM", includeThoughts: true }],
    ["gemini-3.1-pro", "none", { thinkingLevel: "LOW" }],
    ["gemini-2.0-flash", "low", undefined],
  ])("A-RSN-03 %s thinks at effort %s", async ([model, effort, config]) => {
    const started = await start(okay, model);
    await started.ask({ reasoning_effort: effort }, unary);
    expect(started.sent()["generationConfig"]).toEqual(config === undefined ? undefined : { thinkingConfig: config });
    expect(started.call().trace.warnings).toHaveLength(config === undefined ? 1 : 0);
  });

  test.for<readonly [unknown, object | undefined]>([
    ["none", { mode: "NONE" }],
    ["auto", { mode: "AUTO" }],
    ["required", { mode: "ANY" }],
    [undefined, undefined],
    [
      { type: "function", function: { name: "weather" } },
      { mode: "ANY", allowedFunctionNames: ["weather"] },
    ],
  ])("A-TOOL-05 chooses tools by %j", async ([choice, config]) => {
    const started = await start(okay);
    await started.ask({ tools: [weather], ...(choice === undefined ? {} : { tool_choice: choice }) }, unary);
    expect(started.sent()["tools"]).toEqual([
      { functionDeclarations: [{ name: "weather", description: "Tells it.", parametersJsonSchema: { type: "object", properties: {} } }] },
    ]);
    expect(started.sent()["toolConfig"]).toEqual(config === undefined ? undefined : { functionCallingConfig: config });
  });

  test("declares only the tools that are allowed", async () => {
    const started = await start(okay);
    const clock = { type: "function", function: { name: "clock" } };
    const allowed = { mode: "required", tools: [{ type: "function", function: { name: "clock" } }] };
    await started.ask({ tools: [weather, clock], tool_choice: { type: "allowed_tools", allowed_tools: allowed } }, unary);
    expect(started.sent()).toMatchObject({
      tools: [{ functionDeclarations: [{ name: "clock" }] }],
      toolConfig: { functionCallingConfig: { mode: "ANY" } },
    });
  });

  test("sends a schema in the words that Gemini knows, and tells the rest in its description", async () => {
    const started = await start(okay);
    const schema = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      properties: {
        age: { type: "integer", minimum: 0, exclusiveMaximum: 777 },
        code: { type: "string", pattern: "^a+$", description: "A code." },
        kind: { const: "x" },
        next: { $ref: "#/definitions/node", description: "The next." },
        last: { $ref: "#/definitions/node" },
      },
      required: ["age"],
      additionalProperties: false,
      definitions: { node: { type: "string" } },
    };
    await started.ask({ response_format: { type: "json_schema", json_schema: { name: "x", schema: schema } } }, unary);
    expect(started.sent()["generationConfig"]).toEqual({
      responseMimeType: "application/json",
      responseJsonSchema: {
        type: "object",
        properties: {
          age: { type: "integer", minimum: 0, description: "exclusiveMaximum: 777" },
          code: { type: "string", description: 'A code.\npattern: "^a+$"' },
          kind: { enum: ["x"] },
          next: { type: "string", description: "The next." },
          last: { $ref: "#/$defs/node" },
        },
        required: ["age"],
        additionalProperties: false,
        $defs: { node: { type: "string" } },
      },
    });
    await started.ask({ response_format: { type: "json_object" } }, unary);
    expect(started.sent()["generationConfig"]).toEqual({ responseMimeType: "application/json" });
  });

  test.for<readonly [Partial<ChatBody>, string]>([
    [{ logit_bias: { "5": 1 } }, "logit_bias"],
    [{ modalities: ["text", "audio"] }, "modalities"],
    [{ audio: { voice: "x", format: "wav" } }, "audio"],
    [{ web_search_options: { search_context_size: "low" } }, "web_search_options"],
    [{ tools: [{ type: "custom", custom: { name: "x" } }] }, "tools[0].type"],
    [{ tools: [weather, { type: "web_search" }] }, "tools[1].type"],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "http://a.example/b.png" } }] }] },
      "messages[0].content[0].image_url.url",
    ],
    [{ messages: [{ role: "user", content: [{ type: "file", file: { file_id: "file-1" } }] }] }, "messages[0].content[0].file.file_id"],
    [
      { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "x", format: "opus" } }] }] },
      "messages[0].content[0].input_audio.format",
    ],
    [{ messages: [{ role: "user", content: [{ type: "video_url" }] }] }, "messages[0].content[0].type"],
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
  ])("refuses %j by name, before anything is sent", async ([fields, param]) => {
    const started = await start(okay);
    const { error } = await started.fail(fields);
    expect(error).toMatchObject({ code: "incapable", details: { param } });
    expect(started.path()).toBeUndefined();
  });

  test("leaves out what changes no meaning, and says so", async () => {
    const started = await start(okay);
    await started.ask(
      {
        user: "u",
        metadata: { a: "b" },
        service_tier: "auto",
        store: false,
        parallel_tool_calls: false,
        tools: [weather],
        verbosity: null,
        foo: 1,
      },
      unary,
    );
    expect(new Set(started.call().trace.warnings.map((warning) => /"(.*)"/.exec(warning)?.[1]))).toEqual(
      new Set(["foo", "metadata", "parallel_tool_calls", "user"]),
    );
    expect(Object.keys(started.sent()).toSorted()).toEqual(["contents", "tools"]);
  });
});

describe("a signature of thoughts", () => {
  const signature = { extra_content: { google: { thought_signature: "c2ln" } } };

  test("comes with its call, and goes back with it", async () => {
    const parts = [{ functionCall: { name: "weather", args: { city: "Bonn" } }, thoughtSignature: "c2ln" }];
    const started = await start(json(200, response(parts, {}, { finishReason: "STOP" })), "gemini-3-pro");
    const { choices } = await collect(replayed(await started.ask({}, unary)));
    const [message] = choices.map((choice) => choice.message);
    expect(message?.tool_calls).toMatchObject([signature]);
    const [call] = message?.tool_calls ?? [];
    await started.ask(
      {
        messages: [
          { role: "user", content: "Weather?" },
          { ...message, role: "assistant" },
          { role: "tool", tool_call_id: call?.id, content: "blue" },
        ],
      },
      unary,
    );
    expect((started.sent()["contents"] as unknown[])[1]).toEqual({
      role: "model",
      parts: [{ functionCall: { id: call?.id, name: "weather", args: { city: "Bonn" } }, thoughtSignature: "c2ln" }],
    });
  });

  test("of a text comes with the message, and goes back with it", async () => {
    const started = await start(json(200, response([{ text: "4", thoughtSignature: "c2ln" }], {}, { finishReason: "STOP" })));
    const { choices } = await collect(replayed(await started.ask({}, unary)));
    expect(choices[0]?.message).toEqual({ role: "assistant", content: "4", refusal: null, ...signature });
    await started.ask(
      {
        messages: [
          { role: "user", content: "2+2?" },
          { ...choices[0]?.message, role: "assistant" },
          { role: "user", content: "Sure?" },
        ],
      },
      unary,
    );
    expect((started.sent()["contents"] as unknown[])[1]).toEqual({ role: "model", parts: [{ text: "4", thoughtSignature: "c2ln" }] });
  });

  test("that a client did not send back is remembered, for the caller whose answer brought it", async () => {
    const parts = [{ functionCall: { id: "f1", name: "weather", args: {} }, thoughtSignature: "c2ln" }];
    for (const script of [
      json(200, response(parts, {}, { finishReason: "STOP" })),
      sse([event(response(parts, {}, { finishReason: "STOP" }))]),
    ]) {
      const started = await start(script, "gemini-3-pro");
      await started.ask();
      const messages = [
        { role: "user", content: "Weather?" },
        { role: "assistant", content: null, tool_calls: [calling("f1", "weather", "{}")] },
        { role: "tool", tool_call_id: "f1", content: "blue" },
      ];
      const sentFor = async (name: string) => {
        await started.ask({ messages }, { ...unary, principal: { name } });
        return (started.sent()["contents"] as { parts: { thoughtSignature?: string }[] }[])[1]?.parts[0]?.thoughtSignature;
      };
      expect(await sentFor("team-b")).toBe("skip_thought_signature_validator");
      expect(await sentFor("team-a")).toBe("c2ln");
    }
  });

  test.for<readonly [string, readonly (string | undefined)[]]>([
    ["gemini-3-pro", ["skip_thought_signature_validator", undefined]],
    ["gemini-flash-latest", ["skip_thought_signature_validator", undefined]],
    ["gemini-2.5-pro", [undefined, undefined]],
  ])("that a client lost is stood in for where %s wants one", async ([model, signatures]) => {
    const started = await start(okay, model);
    await started.ask(
      {
        messages: [
          { role: "user", content: "Weather?" },
          { role: "assistant", content: null, tool_calls: [calling("c1", "weather", "{}"), calling("c2", "weather", "{}")] },
          { role: "tool", tool_call_id: "c1", content: "blue" },
          { role: "tool", tool_call_id: "c2", content: "grey" },
        ],
      },
      unary,
    );
    const { parts } = (started.sent()["contents"] as { parts: { thoughtSignature?: string }[] }[])[1] ?? { parts: [] };
    expect(parts.map((part) => part.thoughtSignature)).toEqual(signatures);
  });
});

describe("an answer", () => {
  test("A-USG-02 is read whole, with what was used", async () => {
    const started = await start(
      json(200, {
        ...whole(),
        usageMetadata: {
          promptTokenCount: 50,
          cachedContentTokenCount: 30,
          candidatesTokenCount: 5,
          thoughtsTokenCount: 11,
          totalTokenCount: 66,
        },
      }),
    );
    const [finish] = await started.ask({}, unary);
    const usage = { promptTokens: 50, cachedTokens: 30, completionTokens: 16, reasoningTokens: 11 };
    expect(finish).toEqual({
      type: "finish",
      usage,
      completion: {
        id: "resp-1",
        model: MODEL,
        usage,
        choices: [{ index: 0, finishReason: "stop", logprobs: null, message: { role: "assistant", content: "4", refusal: null } }],
      },
    });
  });

  const thought = response([{ text: "Hm.", thought: true }], { usageMetadata: { promptTokenCount: 7, thoughtsTokenCount: 2 } });
  const spoken = response([{ text: "It is é😀 " }], {
    usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 2, thoughtsTokenCount: 2 },
  });
  const called = response([{ functionCall: { name: "weather", args: { city: "Bonn" } } }, { functionCall: { id: "f2", name: "clock" } }]);
  const ended = response([], {}, { finishReason: "STOP" });
  const streamed = [thought, spoken, called, ended].map(event);
  const id = "call_chatcmpl-1_0_0";
  const all: readonly Delta[] = [
    { type: "reasoning", choice: 0, text: "Hm." },
    { type: "text", choice: 0, text: "It is é😀 " },
    { type: "tool-call", choice: 0, index: 0, id, name: "weather", text: '{"city":"Bonn"}' },
    { type: "tool-call", choice: 0, index: 1, id: "f2", name: "clock", text: "{}" },
    { type: "end", choice: 0, reason: "tool_calls" },
  ];
  const usage = { promptTokens: 7, completionTokens: 4, reasoningTokens: 2 };

  test("A-GEM-02 is streamed: thoughts, text, calls with ids of their own, an end without [DONE]; A-GEM-05 with the last usage seen", async () => {
    const started = await start(sse(streamed));
    const events = await started.ask();
    expect(deltasOf(events)).toEqual(all);
    expect(events[0]).toEqual({ type: "start", id: "resp-1", model: MODEL });
    expect(events.at(-1)).toEqual({ type: "finish", usage });
  });

  test("is folded where it is metered", async () => {
    const started = await start(sse(streamed));
    const events = await started.ask({}, { delivery: "metered" });
    expect(events).toMatchObject([
      { type: "finish", usage, completion: { choices: [{ finishReason: "tool_calls", message: { reasoning_content: "Hm." } }] } },
    ]);
  });

  test("is the same however its bytes are split", () => {
    const bytes = Buffer.from(streamed.join(""));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 }), fc.integer({ min: 1, max: 7 }), (cuts, size) => {
        const ends =
          cuts.length > 0
            ? [...cuts.toSorted((a, b) => a - b), bytes.length]
            : Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => (at + 1) * size);
        const reader = new ResponseStream({ upstream: "gem/a", callId: "chatcmpl-1" });
        const found: Delta[] = [];
        let from = 0;
        for (const end of ends) {
          found.push(...reader.read(bytes.subarray(from, end)));
          from = end;
        }
        found.push(...reader.end());
        expect(found).toEqual(all);
        expect(reader.usage).toEqual(usage);
      }),
    );
  });

  test("comes as one list where nobody asked for events", async () => {
    const started = await start(json(200, [thought, spoken, called, ended]));
    expect(deltasOf(await started.ask()).map(({ type }) => type)).toEqual(["reasoning", "text", "tool-call", "tool-call", "end"]);
  });

  test("keeps the digits of a call's arguments", async () => {
    const body = JSON.stringify(response([{ functionCall: { name: "f", args: { n: 0 } } }], {}, { finishReason: "STOP" })).replace(
      '"n":0',
      '"n":12345678901234567890',
    );
    const [finish] = await (await start(json(200, body))).ask({}, unary);
    expect(finish).toMatchObject({
      completion: { choices: [{ message: { tool_calls: [{ function: { arguments: '{"n":12345678901234567890}' } }] } }] },
    });
  });

  test("A-LOG-01 tells log-probabilities with the bytes of each token", async () => {
    const logprobsResult = {
      chosenCandidates: [{ token: "é", logProbability: -0.123456789012345 }],
      topCandidates: [
        {
          candidates: [
            { token: "é", logProbability: -0.123456789012345 },
            { token: "e", logProbability: -2 },
          ],
        },
      ],
    };
    const started = await start(json(200, response([{ text: "é" }], {}, { finishReason: "STOP", logprobsResult })));
    const { choices } = await collect(replayed(await started.ask({ logprobs: true, top_logprobs: 2 }, unary)));
    const chosen = { token: "é", logprob: -0.123456789012345, bytes: [195, 169] };
    expect(choices[0]?.logprobs).toEqual({
      content: [{ ...chosen, top_logprobs: [chosen, { token: "e", logprob: -2, bytes: [101] }] }],
      refusal: null,
    });
  });

  test("has as many choices as candidates", async () => {
    const candidates = [1, 0].map((index) => ({
      index,
      content: { parts: [{ text: `t${index}` }] },
      finishReason: index === 1 ? "MAX_TOKENS" : "STOP",
    }));
    const { choices } = await collect(replayed(await (await start(sse([event({ candidates })]))).ask({ n: 2 })));
    expect(choices.map(({ index, message, finishReason }) => [index, message.content, finishReason])).toEqual([
      [0, "t0", "stop"],
      [1, "t1", "length"],
    ]);
  });

  test("that spent all on thoughts has no content, and ends", async () => {
    const started = await start(
      json(200, { candidates: [{ finishReason: "MAX_TOKENS", index: 0 }], usageMetadata: { promptTokenCount: 7, thoughtsTokenCount: 9 } }),
    );
    const [finish] = await started.ask({}, unary);
    expect(finish).toMatchObject({
      usage: { completionTokens: 9 },
      completion: { choices: [{ finishReason: "length", message: { content: "" } }] },
    });
  });

  test("carries an image that the model drew", async () => {
    const started = await start(
      json(200, response([{ text: "Here." }, { inlineData: { mimeType: "image/png", data: "iVBO" } }], {}, { finishReason: "STOP" })),
    );
    const { choices } = await collect(replayed(await started.ask({}, unary)));
    expect(choices[0]?.message["images"]).toEqual([{ type: "image_url", index: 0, image_url: { url: "data:image/png;base64,iVBO" } }]);
  });

  test.for<readonly [string, string]>([
    ["STOP", "stop"],
    ["MAX_TOKENS", "length"],
    ["CONTINUATION", "length"],
    ...["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY"].map(
      (reason) => [reason, "content_filter"] as const,
    ),
    ["SOMETHING_NEW", "stop"],
  ])("that ended by %s ended by %s", async ([finishReason, reason]) => {
    const started = await start(json(200, response([{ text: "4" }], {}, { finishReason })));
    const [finish] = await started.ask({}, unary);
    expect(finish).toMatchObject({ completion: { choices: [{ finishReason: reason }] } });
  });

  test.for(["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE", "NO_IMAGE", "OTHER"])(
    "that ended by %s is a failure that may be tried again",
    async (finishReason) => {
      const started = await start(json(200, response([], {}, { finishReason })));
      const { error } = await started.fail({}, unary);
      expect([error?.code, error?.retry, error?.elsewhere]).toEqual(["upstream_error", true, true]);
    },
  );
});

describe("a failure", () => {
  const refused = (status: number, error: object, list = false) => json(status, list ? [{ error }] : { error });

  test("A-GEM-03 a blocked prompt is a content filter, not a crash", async () => {
    const blocked = { promptFeedback: { blockReason: "SAFETY" }, usageMetadata: { promptTokenCount: 7 } };
    for (const script of [json(200, blocked), sse([event(blocked)])]) {
      const { error } = await (await start(script)).fail();
      expect([error?.code, error?.status, error?.wire]).toMatchObject([
        "content_filter",
        400,
        { code: "content_filter", param: "messages" },
      ]);
    }
  });

  test("A-GEM-04 an exhausted quota says when to come back", async () => {
    const details = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "37s" }];
    const started = await start(refused(429, { code: 429, message: "Quota exceeded.", status: "RESOURCE_EXHAUSTED", details }));
    const { error } = await started.fail();
    expect([error?.code, error?.status, error?.details.retryAfterMs]).toEqual(["upstream_rate_limited", 429, 37_000]);
  });

  test.for<readonly [number, string, string, object, string, number]>([
    [400, "INVALID_ARGUMENT", "Bad n", {}, "upstream_invalid", 400],
    [
      400,
      "INVALID_ARGUMENT",
      "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
      {},
      "context_length_exceeded",
      400,
    ],
    [
      400,
      "INVALID_ARGUMENT",
      "API key not valid",
      { details: [{ reason: "API_KEY_INVALID", domain: "googleapis.com" }] },
      "upstream_auth",
      502,
    ],
    [400, "FAILED_PRECONDITION", "User location is not supported", {}, "upstream_auth", 502],
    [403, "PERMISSION_DENIED", "no", {}, "upstream_auth", 502],
    [404, "NOT_FOUND", "models/x is not found", {}, "upstream_model_not_found", 404],
    [499, "CANCELLED", "gone", {}, "upstream_error", 502],
    [500, "INTERNAL", "oh", {}, "upstream_error", 502],
    [503, "UNAVAILABLE", "The model is overloaded.", {}, "upstream_overloaded", 503],
    [504, "DEADLINE_EXCEEDED", "late", {}, "upstream_timeout", 504],
    [418, "TEAPOT", "?", {}, "upstream_invalid", 400],
  ])("%i %s %j is told by our table", async ([status, word, message, rest, code, told]) => {
    for (const list of [false, true]) {
      const { error } = await (await start(refused(status, { code: status, message, status: word, ...rest }, list))).fail();
      expect([error?.code, error?.status, error?.details.upstreamStatus]).toEqual([code, told, status]);
    }
  });

  test("tells no key, no address and no markup", async () => {
    const message = "key AIzaSyABCDEFGHIJKLMN is <b>bad</b> at https://generativelanguage.googleapis.com/v1beta and 10.0.0.7:80";
    for (const [status, word] of [
      [400, "INVALID_ARGUMENT"],
      [403, "PERMISSION_DENIED"],
      [500, "INTERNAL"],
    ] as const) {
      const { error } = await (await start(refused(status, { code: status, message, status: word }))).fail();
      expect(`${error?.message} ${error?.wire.message}`).not.toMatch(/AIza|https|10\.0|<b>|127\.0/);
    }
  });

  test("an error behind text comes after it", async () => {
    const broken = event({ error: { code: 503, message: "overloaded", status: "UNAVAILABLE" } });
    for (const script of [sse([event(response([{ text: "a" }])) + broken]), sse([event(response([{ text: "a" }])), 5, broken])]) {
      const started = await start(script);
      const { events, error } = await started.fail();
      expect(deltasOf(events)).toEqual([{ type: "text", choice: 0, text: "a" }]);
      expect([error?.code, error?.wire.message]).toEqual(["upstream_overloaded", "overloaded"]);
      expect(started.call().span).toMatchObject({ sent: true, estimated: true, usage: { completionTokens: 1 } });
    }
  });

  test("an answer that was cut is none", async () => {
    const { error } = await (await start(cut([event(response([{ text: "a" }])), event(whole())], 1))).fail();
    expect(error?.code).toBe("upstream_unreachable");
    const quiet = await (await start(sse([event(response([{ text: "a" }]))]))).fail();
    expect(quiet.error?.code).toBe("upstream_protocol");
    const none = await (await start(json(200, {}))).fail();
    expect(none.error?.code).toBe("upstream_protocol");
    const garbage = await (await start(sse(["data: {\n\n"]))).fail();
    expect(garbage.error?.code).toBe("upstream_protocol");
  });

  test("an answer that has ended is whole, however its connection ends", async () => {
    const events = await (await start(cut([event(whole())], 1))).ask();
    expect(events.at(-1)).toEqual({ type: "finish", usage: { promptTokens: 7, completionTokens: 3 } });
  });
});

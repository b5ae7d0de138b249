/** Log-probabilities, usage and reasoning, in the forms that servers give them. */
import { expect, onTestFinished, test } from "vitest";
import { events, messages, startPair } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, frame, json, sse, type Script } from "../support/upstream.ts";

const start = (script: Script, provider: Readonly<Record<string, unknown>> = {}) =>
  startPair({ x: script }, { onFinished: onTestFinished, provider });

const head = { id: "x", object: "chat.completion.chunk", created: 1, model: "m" };
const chunk = (delta: object, reason: string | null = null) => frame({ ...head, choices: [{ index: 0, delta, finish_reason: reason }] });
const done = frame("[DONE]");

async function streamed(frames: readonly string[], body: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { gateway } = await start(sse(frames));
  const text = await (await gateway.chat({ model: "up/x", stream: true, ...body })).text();
  expect(validateStream(text, { usage: "stream_options" in body })).toEqual([]);
  return text;
}

test("A-LOG-01 log-probabilities arrive whole, in an answer and in a stream", async () => {
  const entry = { token: "4", logprob: -0.25, bytes: [52] };
  const logprobs = { content: [{ ...entry, top_logprobs: [entry, { token: "é", logprob: -2, bytes: [195, 169] }] }], refusal: null };
  const { gateway, upstream } = await start(json(200, completionJson("4", { choice: { logprobs } })));
  const [choice] = (
    await gateway.client().chat.completions.create({ model: "up/x", messages: [...messages], logprobs: true, top_logprobs: 2 })
  ).choices;
  expect(choice?.logprobs).toEqual(logprobs);
  expect(upstream.requests[0]?.json).toMatchObject({ logprobs: true, top_logprobs: 2 });
  const text = await streamed(chunkStream(["a", "é"], { logprobs: true }), { logprobs: true });
  const told = accumulate(text).choices[0]?.logprobs as { content: { token: string; bytes: number[] }[] };
  expect(told.content.map(({ token, bytes }) => [token, bytes])).toEqual([
    ["a", [97]],
    ["é", [195, 169]],
  ]);
});

test("A-LOG-02 top_logprobs without logprobs is refused", async () => {
  const { gateway } = await start(json(200, completionJson("4")));
  const response = await gateway.chat({ model: "up/x", top_logprobs: 2 });
  expect([response.status, await response.json()]).toMatchObject([400, { error: { param: "top_logprobs" } }]);
});

const counts = { prompt_tokens: 50, completion_tokens: 7, total_tokens: 57 };

test.each<readonly [string, object, object]>([
  ["DeepSeek", { ...counts, prompt_cache_hit_tokens: 30, prompt_cache_miss_tokens: 20 }, { prompt_tokens_details: { cached_tokens: 30 } }],
  [
    "vLLM",
    { ...counts, prompt_tokens_details: { cached_tokens: 30, created_cache_tokens: 5 } },
    { prompt_tokens_details: { cached_tokens: 30, cache_write_tokens: 5 } },
  ],
  ["OpenAI", { ...counts, completion_tokens_details: { reasoning_tokens: 3 } }, { completion_tokens_details: { reasoning_tokens: 3 } }],
  ["Ollama", counts, {}],
  ["Ollama without a total", { prompt_tokens: 50, completion_tokens: 7 }, {}],
])("A-USG-03 the usage of %s has the standard fields, in an answer and in a stream", async (_, given, more) => {
  const wanted = { ...counts, ...more };
  const { gateway } = await start(json(200, completionJson("4", { usage: given })));
  expect(await (await gateway.chat({ model: "up/x" })).json()).toMatchObject({ usage: wanted });
  await expect.poll(() => gateway.requestLogs[0]).toMatchObject({ promptTokens: 50, completionTokens: 7 });
  const text = await streamed(chunkStream(["4"], { usage: given }), { stream_options: { include_usage: true } });
  expect(events(text).at(-1)).toMatchObject({ usage: wanted });
});

test("A-USG-03 Groq tells usage in x_groq", async () => {
  const frames = [
    chunk({ role: "assistant", content: "4" }),
    frame({ ...head, choices: [{ index: 0, delta: {}, finish_reason: "stop" }], x_groq: { usage: counts } }),
    done,
  ];
  const text = await streamed(frames, { stream_options: { include_usage: true } });
  expect(events(text).at(-1)).toMatchObject({ choices: [], usage: counts });
});

test("usage that no upstream told is estimated for the log, and marked", async () => {
  const { gateway } = await start(sse(chunkStream(["2+2", " is", " 4"])));
  await (await gateway.chat({ model: "up/x", stream: true })).text();
  await expect.poll(() => gateway.requestLogs[0]?.["completionTokens"]).toBeGreaterThan(0);
});

const texts = ["2+2", " is 4"];

/** A stream's lines without what differs from request to request. */
function bare(text: string): readonly unknown[] {
  return events(text).map(({ choices }) => choices);
}

test("A-RSN-01 and 02 reasoning has one name, whichever the upstream uses", async () => {
  const standard = await streamed(chunkStream(texts, { reasoning: ["first", " then"] }));
  const other = await streamed(chunkStream(texts, { reasoning: ["first", " then"], reasoningField: "reasoning" }));
  expect(accumulate(standard).choices[0]?.message).toEqual({ role: "assistant", content: "2+2 is 4", reasoning_content: "first then" });
  expect(bare(other)).toEqual(bare(standard));
});

test("A-RSN-02 reasoning has one name in a whole answer too", async () => {
  for (const name of ["reasoning", "reasoning_content"]) {
    const { gateway } = await start(json(200, completionJson("4", { message: { [name]: "2 and 2" } })));
    const answer = (await (await gateway.chat({ model: "up/x" })).json()) as { choices: { message: object }[] };
    expect(answer.choices[0]?.message).toEqual({ role: "assistant", content: "4", refusal: null, reasoning_content: "2 and 2" });
  }
});

test("A-RSN-04 content as a list of thinking and text becomes text and reasoning", async () => {
  const thinking = { type: "thinking", thinking: [{ type: "text", text: "2 and 2" }] };
  const frames = [
    chunk({ role: "assistant", content: [thinking] }),
    chunk({ content: [{ type: "text", text: "4" }] }),
    chunk({ content: "!" }),
    chunk({ content: "" }, "stop"),
    done,
  ];
  expect(accumulate(await streamed(frames)).choices[0]?.message).toEqual({
    role: "assistant",
    reasoning_content: "2 and 2",
    content: "4!",
  });
  const { gateway } = await start(json(200, completionJson(null, { message: { content: [thinking, { type: "text", text: "4" }] } })));
  const answer = (await (await gateway.chat({ model: "up/x" })).json()) as { choices: { message: object }[] };
  expect(answer.choices[0]?.message).toMatchObject({ content: "4", reasoning_content: "2 and 2" });
});

test.each(["up/a", "chain", "exam", "merged"])("annotations are part of the answer of %s, whole and streamed", async (model) => {
  const annotations = [{ type: "url_citation", url_citation: { start_index: 0, end_index: 1, url: "https://a.example", title: "A" } }];
  const frames = [chunk({ role: "assistant", content: "4" }), chunk({ annotations }), chunk({}, "stop"), done];
  const whole = json(200, completionJson("4", { message: { annotations } }));
  const { gateway } = await startPair(
    { "*": (exchange) => (exchange.request.json["stream"] === true ? sse(frames) : whole)(exchange) },
    {
      onFinished: onTestFinished,
      config: {
        models: {
          chain: { kind: "fallback", members: ["up/a", "up/b"] },
          exam: { kind: "vote", members: ["up/a", "up/b", "up/c"] },
          merged: { kind: "fuse", members: ["up/a", "up/b"], writer: "up/c" },
        },
      },
    },
  );
  expect(await (await gateway.chat({ model })).json()).toMatchObject({ choices: [{ message: { content: "4", annotations } }] });
  const text = await (await gateway.chat({ model, stream: true })).text();
  expect(validateStream(text, { usage: false })).toEqual([]);
  expect(text).toContain(`"annotations":${JSON.stringify(annotations)}`);
});

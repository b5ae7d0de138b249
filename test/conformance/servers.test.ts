import { describe, expect, onTestFinished, test } from "vitest";
import { messages, startPair } from "../support/gateway.ts";
import { accumulate, validateError, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, frame, json, sse, type Script } from "../support/upstream.ts";

const start = (dialect: string, script: Script = json(200, completionJson("4"))) =>
  startPair({ a: script, s: script }, { onFinished: onTestFinished, provider: { dialect } });

const tool = { type: "function", function: { name: "add", parameters: { type: "object" } } } as const;

/** What reached the upstream, and what the client was told was left out. */
async function forwarded(dialect: string, fields: object) {
  const { gateway, upstream } = await start(dialect);
  const response = await gateway.chat({ ...fields });
  expect(response.status, await response.text()).toBe(200);
  return { sent: upstream.requests[0]?.json, warnings: response.headers.get("x-chorale-warnings") ?? "" };
}

test("A-OAC-01 Mistral gets its own names and nothing that it does not know, and the client its usage", async () => {
  const fields = {
    seed: 3,
    max_completion_tokens: 9,
    logit_bias: { 1: 2 },
    user: "u",
    tools: [tool],
    tool_choice: "required",
    top_p: null,
  };
  const { sent, warnings } = await forwarded("mistral", fields);
  expect(sent).toEqual({ model: "a", messages, random_seed: 3, max_tokens: 9, tools: [tool], tool_choice: "any" });
  for (const field of ["logit_bias", "user"]) expect(warnings).toContain(`"${field}"`);
  const { gateway, upstream } = await start("mistral", sse(chunkStream(["4"], { usage: true })));
  const streamed = await gateway.chat({ model: "up/s", stream: true, stream_options: { include_usage: true } });
  expect(validateStream(await streamed.text(), { usage: true })).toEqual([]);
  expect(upstream.requests[0]?.json).toEqual({ model: "s", messages, stream: true });
});

test("A-OAC-02 Groq is not asked for logprobs, and gets no names", async () => {
  const { gateway, upstream } = await start("groq");
  const refused = await gateway.chat({ logprobs: true });
  const body = await refused.text();
  expect([refused.status, validateError(body, refused.headers), JSON.parse(body)]).toMatchObject([
    400,
    [],
    { error: { param: "logprobs" } },
  ]);
  expect(upstream.requests).toHaveLength(0);
  const named = [
    { role: "system", content: "s", name: "sys" },
    { role: "user", content: "x", name: "ada" },
  ];
  const { sent, warnings } = await forwarded("groq", { messages: named });
  expect(sent).toEqual({
    model: "a",
    messages: [
      { role: "system", content: "s" },
      { role: "user", content: "x" },
    ],
  });
  expect(warnings).toContain('"messages[].name"');
});

test.each([
  ["mistral", ["store", "metadata", "service_tier", "prompt_cache_key", "verbosity", "reasoning_effort"], "system"],
  ["deepseek", ["store", "metadata", "service_tier", "prompt_cache_key", "verbosity"], "system"],
  ["together", ["store", "metadata", "service_tier", "prompt_cache_key", "verbosity"], "system"],
  ["groq", ["store", "metadata", "prompt_cache_key", "verbosity"], "developer"],
  ["ollama", [], "system"],
  ["llama.cpp", [], "system"],
  ["vllm", [], "developer"],
  ["openai", [], "developer"],
] as const)("A-OAC-04 %s is told what it knows, and the client what was left out", async (dialect, left, role) => {
  const fields = {
    store: true,
    metadata: { a: "b" },
    service_tier: "flex",
    prompt_cache_key: "k",
    verbosity: "low",
    reasoning_effort: "low",
  } as const;
  const { sent, warnings } = await forwarded(dialect, { ...fields, messages: [{ role: "developer", content: "d" }, ...messages] });
  const kept = Object.entries(fields).filter(([field]) => !left.some((name) => name === field));
  expect(sent).toEqual({ model: "a", messages: [{ role, content: "d" }, ...messages], ...Object.fromEntries(kept) });
  expect(new Set([...warnings.matchAll(/"(\w+)"/g)].map(([, name]) => name))).toEqual(new Set(left));
});

const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_790_000_000, model: "m" };
const chunk = (delta: object, reason: string | null = null, rest: object = {}) =>
  frame({ ...head, choices: [{ index: 0, delta, finish_reason: reason, ...rest }] });
const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
const done = frame("[DONE]");
const call = { id: "call_1", type: "function", function: { name: "add", arguments: '{"a":2}' } };

/** Streams as these servers write them. */
const streams: Readonly<Record<string, readonly string[]>> = {
  "llama.cpp": [
    frame({ ...head, choices: [{ index: 0, finish_reason: null, delta: { role: "assistant", content: null } }] }),
    ":\n\n",
    chunk({ reasoning_content: "Hm." }),
    chunk({ content: "It is" }),
    chunk({ content: " 4." }),
    frame({ ...head, choices: [{ index: 0, finish_reason: "stop", delta: {} }], usage, timings: { prompt_n: 7, predicted_ms: 1.5 } }),
    done,
  ],
  ollama: [
    ...["", "It is", " 4."].map((content) => chunk({ role: "assistant", content, reasoning: content === "" ? "Hm." : "" })),
    chunk({ role: "assistant", content: "" }, "stop"),
    frame({ ...head, system_fingerprint: "fp_ollama", choices: [], usage }),
    done,
  ],
  vllm: [
    chunk({ role: "assistant", content: "" }, null, { logprobs: null }),
    chunk({ reasoning: "Hm." }, null, { logprobs: null, token_ids: null }),
    chunk({ content: "It is" }),
    chunk({ content: " 4." }, "stop", { stop_reason: 151_645 }),
    frame({ ...head, choices: [], usage }),
    done,
  ],
  deepseek: [
    ": keep-alive\n\n",
    chunk({ role: "assistant", content: null, reasoning_content: "" }),
    chunk({ content: null, reasoning_content: "Hm." }),
    chunk({ content: "It is", reasoning_content: null }),
    ": keep-alive\n\n",
    chunk({ content: " 4.", reasoning_content: null }),
    frame({
      ...head,
      choices: [{ index: 0, delta: { content: "" }, finish_reason: "stop" }],
      usage: { ...usage, prompt_cache_hit_tokens: 3 },
    }),
    done,
  ],
  openrouter: [
    ": OPENROUTER PROCESSING\n\n",
    ...["", "It is", " 4."].map((content) =>
      frame({
        ...head,
        provider: "Acme",
        choices: [
          {
            index: 0,
            delta: { role: "assistant", content, reasoning: content === "" ? "Hm." : null },
            finish_reason: null,
            native_finish_reason: null,
            logprobs: null,
          },
        ],
      }),
    ),
    frame({
      ...head,
      choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: "stop", native_finish_reason: "end_turn" }],
    }),
    frame({ ...head, choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }], usage }),
    done,
  ],
  azure: [
    frame({ ...head, id: "", model: "", created: 0, object: "", choices: [], prompt_filter_results: [{ prompt_index: 0 }] }),
    chunk({ role: "assistant", content: "", refusal: null }, null, { content_filter_results: {} }),
    chunk({ reasoning_content: "Hm." }),
    chunk({ content: "It is" }, null, { content_filter_results: { hate: { filtered: false } } }),
    chunk({ content: " 4." }),
    chunk({}, "stop"),
    frame({ ...head, choices: [], usage }),
    done,
  ],
};

describe("A-OAC-03", () => {
  test.each(Object.entries(streams))("%s streams as every other", async (dialect, frames) => {
    for (const split of [undefined, 7]) {
      const { gateway } = await start(dialect, sse(frames, split === undefined ? {} : { split }));
      const text = await (await gateway.chat({ model: "up/s", stream: true, stream_options: { include_usage: true } })).text();
      expect(validateStream(text, { usage: true })).toEqual([]);
      expect(accumulate(text).choices[0]).toMatchObject({
        finish_reason: "stop",
        message: { role: "assistant", content: "It is 4.", reasoning_content: "Hm." },
      });
      expect(text).toContain('"total_tokens":10');
    }
  });

  test.each([
    ["ollama", [chunk({ role: "assistant", content: "", tool_calls: [call] }), chunk({ role: "assistant", content: "" }, "stop")]],
    [
      "openrouter",
      [chunk({ role: "assistant", content: null, tool_calls: [{ index: 0, ...call }] }), chunk({ content: "" }, "tool_calls")],
    ],
    [
      "mistral",
      [
        chunk({ role: "assistant", content: "" }),
        chunk({ content: "", tool_calls: [{ ...call, index: 0, type: undefined }] }, "tool_calls"),
      ],
    ],
  ] as const)("%s streams a whole call in one chunk, and it is one of many", async (dialect, frames) => {
    const { gateway } = await start(dialect, sse([...frames, done]));
    const text = await (await gateway.chat({ model: "up/s", stream: true, tools: [tool] })).text();
    expect(validateStream(text, { usage: false })).toEqual([]);
    expect(accumulate(text).choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: { tool_calls: [{ function: call.function }] },
    });
  });
});

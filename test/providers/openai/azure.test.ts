import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/model/clock.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import { openai } from "../../../src/providers/openai.ts";
import { openPools } from "../../../src/upstream/pools.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { startPair } from "../../support/gateway.ts";
import { read } from "../../support/read.ts";
import { accumulate, validateStream } from "../../support/stream-validator.ts";
import { completionJson, frame, json, sse, startUpstream, type Script } from "../../support/upstream.ts";

async function start(script: Script, path: string, options: object = {}) {
  const upstream = await startUpstream({ "*": script }, onTestFinished);
  const pools = openPools();
  onTestFinished(() => pools.close());
  const parsed = openai.options.parse({ baseUrl: `${upstream.origin}${path}`, apiKey: "azure-key", dialect: "azure", ...options });
  const instance = openai.build(parsed, { name: "az", pools, clock: systemClock });
  const ask = (fields: Partial<ChatBody> = {}) =>
    read(instance.chat("gpt 5/eu").stream(newRequest(fields), newCall({ clock: systemClock, delivery: "unary" })));
  return { upstream, instance, ask };
}

const okay = json(200, completionJson("4"));

describe("Azure", () => {
  test("is asked under its version-free path, with the key in its own header", async () => {
    const { ask, upstream } = await start(okay, "/openai/v1");
    await ask();
    const [request] = upstream.requests;
    expect([request?.path, request?.json["model"]]).toEqual(["/openai/v1/chat/completions", "gpt 5/eu"]);
    expect(request?.headers["api-key"]).toBe("azure-key");
    expect(request?.headers.authorization).toBeUndefined();
  });

  test("is asked under the path of a deployment, with a version", async () => {
    const { ask, upstream } = await start(okay, "/openai", { dialect: "azure-deployments" });
    await ask();
    expect(upstream.requests[0]?.path).toBe("/openai/deployments/gpt%205%2Feu/chat/completions?api-version=2024-10-21");
  });

  test("is asked for the version that the config names", async () => {
    const { ask, upstream, instance } = await start(okay, "/openai?api-version=2025-04-01-preview", { dialect: "azure-deployments" });
    await ask();
    await instance
      .embedder?.("e5")
      ?.embed(["a"], newCall({ clock: systemClock }))
      .catch(() => {});
    expect(upstream.requests.map(({ path }) => path)).toEqual([
      "/openai/deployments/gpt%205%2Feu/chat/completions?api-version=2025-04-01-preview",
      "/openai/deployments/e5/embeddings?api-version=2025-04-01-preview",
    ]);
  });

  test.each([
    ["https://mine.openai.azure.com/openai/v1", "azure"],
    ["https://mine.services.ai.azure.com/openai/v1", "azure"],
    ["https://openai.azure.com.evil.example/v1", undefined],
  ])("is recognised at %s", (baseUrl, pricedAs) => {
    const pools = openPools();
    onTestFinished(() => pools.close());
    expect(openai.build(openai.options.parse({ baseUrl, apiKey: "k" }), { name: "az", pools, clock: systemClock }).pricedAs).toBe(pricedAs);
  });

  test("tells a blocked prompt as a content filter", async () => {
    const innererror = { code: "ResponsibleAIPolicyViolation", content_filter_result: { hate: { filtered: true, severity: "high" } } };
    const error = { message: "The response was filtered.", type: null, param: "prompt", code: "content_filter", status: 400, innererror };
    const { ask } = await start(json(400, { error }), "/openai/v1");
    const { error: told } = await ask();
    expect([told?.code, told?.status, told?.elsewhere]).toEqual(["content_filter", 400, false]);
    expect(told?.wire).toEqual({
      message: "The response was filtered.",
      type: "invalid_request_error",
      param: "prompt",
      code: "content_filter",
    });
  });

  test("keeps the results of its filters in a whole answer", async () => {
    const results = { hate: { filtered: false, severity: "safe" } };
    const body = {
      ...completionJson("4", { choice: { content_filter_results: results } }),
      prompt_filter_results: [{ prompt_index: 0, content_filter_results: results }],
    };
    const { gateway } = await startPair({ s: json(200, body) }, { onFinished: onTestFinished, provider: { dialect: "azure" } });
    const answer = (await (await gateway.chat({ model: "up/s" })).json()) as Record<string, unknown>;
    expect(answer).toMatchObject({ prompt_filter_results: [{ prompt_index: 0 }], choices: [{ content_filter_results: results }] });
  });

  test("A-OAC-03 streams as every other: a first chunk without choices and an empty id, results of filters in the chunks", async () => {
    const results = { hate: { filtered: false, severity: "safe" } };
    const head = { object: "chat.completion.chunk", created: 1, model: "gpt-5", id: "chatcmpl-az", system_fingerprint: "fp" };
    const chunk = (delta: object, finish: string | null, rest: object = {}) =>
      frame({ ...head, choices: [{ index: 0, delta, finish_reason: finish, logprobs: null, ...rest }] });
    const frames = [
      frame({
        ...head,
        id: "",
        model: "",
        created: 0,
        object: "",
        choices: [],
        prompt_filter_results: [{ prompt_index: 0, content_filter_results: results }],
      }),
      chunk({ role: "assistant", content: "", refusal: null }, null, { content_filter_results: {} }),
      chunk({ content: "Four" }, null, { content_filter_results: results }),
      chunk({ content: "." }, null, { content_filter_results: results }),
      chunk({}, "stop", { content_filter_results: {} }),
      frame({ ...head, choices: [], usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 } }),
      frame("[DONE]"),
    ];
    const { gateway } = await startPair({ s: sse(frames) }, { onFinished: onTestFinished, provider: { dialect: "azure" } });
    const text = await (await gateway.chat({ model: "up/s", stream: true, stream_options: { include_usage: true } })).text();
    expect(validateStream(text, { usage: true })).toEqual([]);
    expect(accumulate(text).choices[0]?.message["content"]).toBe("Four.");
    expect(text).toContain('"content_filter_results":{"hate"');
  });
});

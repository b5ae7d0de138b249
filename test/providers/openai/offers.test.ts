import { describe, expect, onTestFinished, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { systemClock } from "../../../src/model/clock.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import type { ProviderInstance } from "../../../src/providers/define.ts";
import { openai } from "../../../src/providers/openai.ts";
import { openPools } from "../../../src/upstream/pools.ts";
import { newCall } from "../../support/call.ts";
import { answer, errorJson, html, json, stall, startUpstream, type Script, type Upstream } from "../../support/upstream.ts";

interface Started {
  readonly upstream: Upstream;
  readonly instance: ProviderInstance;
  readonly call: Call;
}

async function start(scripts: Readonly<Record<string, Script>>, options: object = {}, given: Partial<Call> = {}): Promise<Started> {
  const upstream = await startUpstream(scripts, onTestFinished);
  const pools = openPools();
  onTestFinished(() => pools.close());
  const parsed = openai.options.parse({ baseUrl: upstream.url, apiKey: "sk-up", ...options });
  const instance = openai.build(parsed, { name: "up", pools, clock: systemClock });
  return { upstream, instance, call: newCall({ clock: systemClock, ...given }) };
}

function embed({ instance, call }: Started, texts: readonly string[]): Promise<readonly Float32Array[]> {
  const embedder = instance.embedder?.("e5");
  if (!embedder) throw new Error("no embedder");
  return embedder.embed(texts, call);
}

function rerank({ instance, call }: Started, documents: readonly string[]): Promise<readonly number[]> {
  const reranker = instance.reranker?.("jina");
  if (!reranker) throw new Error("no reranker");
  return reranker.rerank("What?", documents, call);
}

const base64 = (values: readonly number[]) => Buffer.from(Float32Array.from(values).buffer).toString("base64");
const usage = { prompt_tokens: 5, total_tokens: 5 };
const listed = (data: readonly unknown[]) => json(200, { object: "list", data, model: "e5", usage });

async function failure(promise: Promise<unknown>): Promise<GatewayError> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof GatewayError) return thrown;
  throw new Error("it did not fail");
}

describe("an embedder", () => {
  test("sends the texts with the provider's key, and notes what was used", async () => {
    const started = await start({ e5: listed([{ index: 0, embedding: [1, 2] }]) }, { headers: { "x-own": "1" } });
    expect(await embed(started, ["Hello"])).toEqual([Float32Array.from([1, 2])]);
    const [request] = started.upstream.requests;
    expect([request?.method, request?.path, request?.json]).toEqual(["POST", "/v1/embeddings", { model: "e5", input: ["Hello"] }]);
    expect(request?.headers).toMatchObject({ authorization: "Bearer sk-up", "x-own": "1", "x-chorale-hops": "1" });
    expect(started.call.span).toMatchObject({ sent: true, usage: { promptTokens: 5, completionTokens: 0 }, estimated: false });
  });

  test("asks for base64 where the dialect has it, and reads both forms", async () => {
    const data = [
      { index: 0, embedding: base64([0.5, -1]) },
      { index: 1, embedding: [2, 3] },
    ];
    const started = await start({ e5: listed(data) }, { dialect: "vllm" });
    expect(await embed(started, ["a", "b"])).toEqual([Float32Array.from([0.5, -1]), Float32Array.from([2, 3])]);
    expect(started.upstream.requests[0]?.json["encoding_format"]).toBe("base64");
  });

  test("puts the vectors in the order of the texts", async () => {
    const data = [
      { index: 2, embedding: [2] },
      { index: 0, embedding: [0] },
      { index: 1, embedding: [1] },
    ];
    expect(await embed(await start({ e5: listed(data) }), ["a", "b", "c"])).toEqual([0, 1, 2].map((value) => Float32Array.from([value])));
  });

  test.for<readonly [string, unknown]>([
    ["too few", { data: [{ index: 0, embedding: [1] }] }],
    [
      "two of one index",
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 0, embedding: [1] },
        ],
      },
    ],
    [
      "other lengths",
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 1, embedding: [1, 2] },
        ],
      },
    ],
    [
      "words",
      {
        data: [
          { index: 0, embedding: ["1"] },
          { index: 1, embedding: [1] },
        ],
      },
    ],
    [
      "a cut base64",
      {
        data: [
          { index: 0, embedding: "AAAA" },
          { index: 1, embedding: [1] },
        ],
      },
    ],
    ["a completion", { choices: [] }],
    ["nothing", null],
  ])("takes no answer with %s for vectors", async ([, body]) => {
    const error = await failure(embed(await start({ e5: json(200, body) }), ["a", "b"]));
    expect([error.code, error.details.upstream]).toEqual(["upstream_protocol", "up/e5"]);
  });

  test.for<readonly [Script, string]>([
    [json(401, errorJson("no")), "upstream_auth"],
    [json(429, errorJson("slow down")), "upstream_rate_limited"],
    [json(400, errorJson("This model's maximum context length is 512 tokens")), "context_length_exceeded"],
    [json(404, errorJson("no such model")), "upstream_model_not_found"],
    [json(503, errorJson("loading")), "upstream_overloaded"],
    [json(200, errorJson("boom", { type: "server_error" })), "upstream_error"],
    [html(200), "upstream_protocol"],
    [answer({ headers: { "content-type": "application/json" }, writes: ['{"data":['], ending: "reset" }), "upstream_unreachable"],
  ])("fails as a chat leaf does: %#", async ([script, code]) => {
    expect((await failure(embed(await start({ e5: script }), ["a"]))).code).toBe(code);
  });

  test("waits as long as its timers say, the tightest of provider and call", async () => {
    const started = await start({ e5: stall() }, {}, { timeouts: { firstTokenMs: 30 } });
    expect((await failure(embed(started, ["a"]))).code).toBe("upstream_timeout");
  });

  test("an abort ends it at once and closes the socket", async () => {
    const controller = new AbortController();
    const started = await start({ e5: stall() }, {}, { signal: controller.signal });
    const failing = failure(embed(started, ["a"]));
    const request = await started.upstream.request(0);
    controller.abort(new GatewayError("client_closed", "The client has left."));
    expect((await failing).code).toBe("client_closed");
    expect((await request.closed).complete).toBe(false);
    expect(started.call.span.sent).toBe(true);
  });

  test("is not offered where the server has none", async () => {
    const { instance } = await start({}, { dialect: "groq" });
    expect(instance).not.toHaveProperty("embedder");
    expect(instance).not.toHaveProperty("reranker");
  });
});

describe("a reranker", () => {
  const rows = [
    { index: 1, relevance_score: 0.9 },
    { index: 0, relevance_score: -2.5 },
  ];

  test("scores the documents in their order", async () => {
    const started = await start({ jina: json(200, { results: rows, usage: { total_tokens: 9 } }) });
    expect(await rerank(started, ["a", "b"])).toEqual([-2.5, 0.9]);
    const [request] = started.upstream.requests;
    expect([request?.path, request?.json]).toEqual(["/v1/rerank", { model: "jina", query: "What?", documents: ["a", "b"] }]);
    expect(started.call.span).toMatchObject({ usage: { promptTokens: 9, completionTokens: 0 }, estimated: false });
  });

  test.for<readonly [string, string, object, unknown]>([
    [
      "vllm-score",
      "/v1/score",
      { text_1: "What?", text_2: ["a", "b"] },
      { data: rows.map(({ index, relevance_score: score }) => ({ index, score })) },
    ],
    ["tei", "/rerank", { query: "What?", texts: ["a", "b"] }, rows.map(({ index, relevance_score: score }) => ({ index, score }))],
    ["generic", "/v1/rerank", { query: "What?", documents: ["a", "b"] }, { data: rows }],
  ])("speaks %s", async ([dialect, path, sent, body]) => {
    const started = await start({ "*": json(200, body) }, { dialect });
    expect(await rerank(started, ["a", "b"])).toEqual([-2.5, 0.9]);
    expect([started.upstream.requests[0]?.path, started.upstream.requests[0]?.json]).toMatchObject([path, sent]);
  });

  test.for<readonly [string, unknown]>([
    ["the best alone", { results: rows.slice(0, 1) }],
    ["no numbers", { results: [{ index: 0, relevance_score: "0.5" }, rows[0]] }],
    ["a strange index", { results: [{ index: 7, relevance_score: 1 }, rows[0]] }],
  ])("takes no answer with %s for scores", async ([, body]) => {
    expect((await failure(rerank(await start({ jina: json(200, body) }), ["a", "b"]))).code).toBe("upstream_protocol");
  });
});

/** Whatever a client or a server sends to an endpoint beside chat, nobody sees a fault of the gateway's own. */
import * as fc from "../support/properties.ts";
import { expect, onTestFinished, test } from "vitest";
import { readPieces, startPair } from "../support/gateway.ts";
import { hostile, mutated, pathsOf } from "../support/mutation.ts";
import { post } from "../support/post.ts";
import { validateError } from "../support/stream-validator.ts";
import { json, sse } from "../support/upstream.ts";
import { readText, textJson, textStream } from "./text.ts";

const start = (endpoint: string) => {
  const dialect = endpoint === "moderations" ? "generic" : "vllm";
  return startPair({}, { onFinished: onTestFinished, provider: { dialect, probe: false } });
};

const rankings = { model: "x", results: [0, 1].map((index) => ({ index, relevance_score: 1 - index, document: { text: "a" } })) };
const vectors = {
  object: "list",
  data: ["AACAPw==", [1]].map((embedding, index) => ({ object: "embedding", index, embedding })),
  model: "x",
  usage: { prompt_tokens: 1, total_tokens: 1 },
};
const text = {
  prompt: ["a", [1, 2]],
  max_tokens: 5,
  n: 2,
  best_of: 3,
  echo: true,
  suffix: "x",
  logprobs: 2,
  stop: ["x"],
  logit_bias: { 1: 2 },
  stream: false,
  stream_options: { include_usage: true },
  chorale: { expose: "summary", budget: { usd: 1 } },
};

/** A body that each endpoint takes, and an answer to it. */
const endpoints = [
  ["completions", { ...text, prompt: "a", stream_options: null }, textJson(["a", "b"])],
  ["completions", { ...text, prompt: [[1], [2]], stream_options: null, n: 1 }, textJson(["a", "b"])],
  ["embeddings", { input: ["a", "b"], encoding_format: "base64", dimensions: 1, user: "ada", chorale: { expose: "full" } }, vectors],
  ["embeddings", { input: [[1], [2]], encoding_format: "float" }, vectors],
  ["rerank", { query: "a", documents: ["a", { text: "b" }], top_n: 2, return_documents: true }, rankings],
  ["moderations", { input: [{ type: "text", text: "a" }, "b"] }, { id: "x", model: "x", results: [{ flagged: false }] }],
] as const;

const edits = (body: object) =>
  fc.array(
    fc.record({
      path: fc.constantFrom(...pathsOf(body).filter((path) => path.length > 0)),
      value: fc.option(hostile, { nil: undefined }),
    }),
    { minLength: 1, maxLength: 2 },
  );

test.each(endpoints)("no mutation of a body makes /v1/%s fail", async (endpoint, fields, answer) => {
  const { gateway, upstream } = await start(endpoint);
  upstream.script({ "*": json(200, answer) });
  const body = { model: "up/a", ...fields };
  expect((await post(gateway, `/v1/${endpoint}`, body)).status).toBe(200);
  await fc.assert(
    fc.asyncProperty(edits(body), async (changes) => {
      const wrong = changes.reduce<unknown>((wrong, { path, value }) => mutated(wrong, path, value), body);
      const response = await post(gateway, `/v1/${endpoint}`, JSON.stringify(wrong));
      const said = await response.text();
      // A body that asks for another number of vectors than there are is told as the upstream's fault.
      if (response.status !== 200) expect(validateError(said, response.headers)).toEqual([]);
      expect([200, 400, 404, 413, 429, 502]).toContain(response.status);
    }),
    { numRuns: 25 },
  );
});

test.each(endpoints)("no mutation of an upstream's answer makes /v1/%s fail otherwise than by name", async (endpoint, fields, answer) => {
  const { gateway, upstream } = await start(endpoint);
  await fc.assert(
    fc.asyncProperty(edits(answer), async (changes) => {
      upstream.script({
        a: json(
          200,
          changes.reduce<unknown>((wrong, { path, value }) => mutated(wrong, path, value), answer),
        ),
      });
      const response = await post(gateway, `/v1/${endpoint}`, { model: "up/a", ...fields });
      const said = await response.text();
      if (response.status !== 200) expect(validateError(said, response.headers)).toEqual([]);
      else expect(JSON.parse(said)).toMatchObject({ model: "up/a" });
      expect(response.status === 500).toBe(false);
    }),
    { numRuns: 25 },
  );
});

test("no mutation of an upstream's stream makes a client's stream of text invalid", async () => {
  const { gateway, upstream } = await start("completions");
  const frames = textStream(["a", "b"], { n: 2, usage: true });
  const chunks = frames.slice(0, -1).map((frame) => JSON.parse(frame.slice(6)) as object);
  const change = fc.record({ chunk: fc.nat(chunks.length - 1), pick: fc.nat(), value: fc.option(hostile, { nil: undefined }) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 2 }), fc.nat(40), fc.boolean(), async (changes, split, asked) => {
      const sent: unknown[] = [...chunks];
      for (const { chunk, pick, value } of changes) {
        const paths = pathsOf(sent[chunk]);
        sent[chunk] = mutated(sent[chunk], paths[pick % paths.length] ?? [], value) ?? {};
      }
      const writes = [...sent.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), "data: [DONE]\n\n"];
      upstream.script({ a: sse(writes, split === 0 ? {} : { split: split * 10 }) });
      const stream_options = { include_usage: asked };
      const response = await post(gateway, "/v1/completions", { model: "up/a", prompt: "a", n: 2, stream: true, stream_options });
      const { text, broken } = await readPieces(response);
      expect(broken).toBe(false);
      if (response.status !== 200) expect(validateError(text, response.headers)).toEqual([]);
      else if (text.includes("[DONE]")) expect(readText(text).wrong).toEqual([]);
      else expect(text).toMatch(/data: \{"error":\{[^\n]*\}\n\n$/);
      expect(response.status).not.toBe(500);
    }),
    { numRuns: 100 },
  );
});

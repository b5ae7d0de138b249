import * as fc from "../support/properties.ts";
import { expect, onTestFinished, test } from "vitest";
import { startPair } from "../support/gateway.ts";
import { hostile, mutated, pathsOf } from "../support/mutation.ts";
import { validateError, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, json, sse } from "../support/upstream.ts";

const call = { id: "call_1", type: "function", function: { name: "add", arguments: "{}" } };
const valid = {
  model: "up/a",
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "Hi" }], name: "ada" },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", tool_call_id: "call_1", content: "4" },
  ],
  temperature: 1,
  n: 1,
  stop: ["x"],
  max_tokens: 5,
  logprobs: true,
  top_logprobs: 2,
  stream: false,
  seed: 1,
  tools: [{ type: "function", function: { name: "add", parameters: {} } }],
  tool_choice: "auto",
  response_format: { type: "json_schema", json_schema: { name: "x", schema: {} } },
  logit_bias: { 1: 2 },
  metadata: { a: "b" },
  chorale: { expose: "summary", budget: { usd: 1 } },
};

/** Requests under way at once. */
const WAYS = 8;

test("A-FUZ-01 no mutation of a body makes the gateway fail", { timeout: 30_000 }, async () => {
  const { gateway } = await startPair(
    { a: json(200, completionJson("4")), "*": json(200, completionJson("4")) },
    { onFinished: onTestFinished },
  );
  const paths = pathsOf(valid).filter((path) => path.length > 0);
  const change = fc.record({ path: fc.constantFrom(...paths), value: fc.option(hostile, { nil: undefined }) });
  const body = fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce<unknown>((changed, { path, value }) => mutated(changed, path, value), valid));
  const cpuMs: number[] = [];
  const ask = async (sent: unknown) => {
    const response = await gateway.chat(JSON.stringify(sent) ?? "");
    const text = await response.text();
    expect(response.status < 500 && (response.status === 200 || response.status >= 400)).toBe(true);
    if (response.status === 200 && response.headers.get("content-type")?.startsWith("text/event-stream"))
      expect(validateStream(text, { usage: false })).toEqual([]);
    else if (response.status !== 200) expect(validateError(text, response.headers)).toEqual([]);
  };
  await fc.assert(
    fc.asyncProperty(fc.array(body, { minLength: WAYS, maxLength: WAYS }), async (bodies) => {
      const before = process.cpuUsage();
      await Promise.all(bodies.map(ask));
      const { user, system } = process.cpuUsage(before);
      cpuMs.push((user + system) / 1000 / WAYS);
    }),
    { numRuns: 2000 / WAYS },
  );
  // Of this whole process, the upstream, the client and this test too; what a busy machine makes it wait is not counted.
  const p99 = cpuMs.toSorted((a, b) => a - b)[Math.floor(cpuMs.length * 0.99)] ?? NaN;
  expect(p99).toBeLessThan(25);
  expect((await gateway.chat({})).status).toBe(200);
});

test("no mutation of an upstream's stream makes a client's stream invalid", { timeout: 15_000 }, async () => {
  const { gateway, upstream } = await startPair({}, { onFinished: onTestFinished });
  const frames = chunkStream(["a", "b"], { tools: [{ id: "call_1", name: "add", arguments: ["{", "}"] }], usage: true });
  const chunks = frames.slice(0, -1).map((frame) => JSON.parse(frame.slice(6)) as unknown);
  const change = fc.record({
    chunk: fc.nat(chunks.length - 1),
    pick: fc.nat(),
    value: fc.option(hostile, { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 2 }), fc.boolean(), async (changes, pause) => {
      const sent = [...chunks];
      for (const { chunk, pick, value } of changes) {
        const paths = pathsOf(sent[chunk]).filter((path) => path.length > 0);
        sent[chunk] = mutated(sent[chunk], paths[pick % Math.max(1, paths.length)] ?? [], value) ?? {};
      }
      const writes = [...sent.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), "data: [DONE]\n\n"];
      upstream.script({ s: sse(pause ? writes : [writes.join("")]) });
      const response = await gateway.chat({ model: "up/s", stream: true });
      const text = await response.text();
      if (response.status !== 200) expect(validateError(text, response.headers)).toEqual([]);
      else {
        const end = text.endsWith("data: [DONE]\n\n") ? {} : ({ end: "error" } as const);
        // A name that is gone can not be made up, nor arguments.
        const wrong = validateStream(text, { usage: false, ...end }).filter((found) => !/^arguments are no JSON|has no name$/.test(found));
        expect(wrong).toEqual([]);
      }
    }),
    { numRuns: 400 },
  );
});

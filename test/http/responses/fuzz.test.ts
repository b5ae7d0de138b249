import * as fc from "../../support/properties.ts";
import { expect, test } from "vitest";
import { validateError } from "../../support/stream-validator.ts";
import { chunkStream, sse } from "../../support/upstream.ts";
import { responseEvents, startResponses, wrongEvents, wrongResponse } from "./answering.ts";
import { says } from "../../support/answers.ts";
import { hostile, mutated, pathsOf } from "../../support/mutation.ts";

const valid = {
  model: "up/a",
  instructions: "Be brief.",
  input: [
    { type: "message", role: "user", content: [{ type: "input_text", text: "Hi" }] },
    { role: "user", content: [{ type: "input_image", image_url: "data:image/png;base64,AA==", detail: "low" }] },
    { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "hm" }], content: [], encrypted_content: "x" },
    {
      type: "message",
      role: "assistant",
      content: [
        { type: "output_text", text: "Yes", annotations: [] },
        { type: "refusal", refusal: "No" },
      ],
    },
    { type: "function_call", call_id: "call_1", name: "add", arguments: "{}" },
    { type: "function_call_output", call_id: "call_1", output: [{ type: "input_text", text: "4" }] },
    { type: "custom_tool_call", call_id: "call_2", name: "patch", input: "x" },
    { type: "custom_tool_call_output", call_id: "call_2", output: "4" },
  ],
  tools: [
    { type: "function", name: "add", description: "x", parameters: { type: "object" }, strict: true },
    { type: "custom", name: "patch", format: { type: "grammar", syntax: "lark", definition: "x" } },
  ],
  tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "add" }] },
  parallel_tool_calls: true,
  text: { format: { type: "json_schema", name: "x", schema: {}, strict: true }, verbosity: "low" },
  reasoning: { effort: "low", summary: "auto" },
  include: ["reasoning.encrypted_content"],
  stream: false,
  stream_options: null,
  store: true,
  metadata: { a: "b" },
  max_output_tokens: 100,
  top_logprobs: 2,
  temperature: 1,
  truncation: "auto",
  previous_response_id: null,
  chorale: { expose: "summary", budget: { usd: 1 } },
};

test("no mutation of a body makes the gateway fail", { timeout: 60_000 }, async () => {
  const { send, ask } = await startResponses({ a: says("4"), "*": says("4") });
  expect((await ask(valid)).status).toBe(200);
  const paths = pathsOf(valid).filter((path) => path.length > 0);
  const change = fc.record({ path: fc.constantFrom(...paths), value: fc.option(hostile, { nil: undefined }) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 3 }), fc.boolean(), async (changes, stream) => {
      const body = changes.reduce<unknown>((body, { path, value }) => mutated(body, path, value), { ...valid, stream });
      const answer = await send("POST", "/responses", JSON.stringify(body));
      const text = await answer.text();
      expect(answer.status === 200 || (answer.status >= 400 && answer.status < 500), text).toBe(true);
      if (answer.status !== 200) expect(validateError(text, answer.headers)).toEqual([]);
      else if (text.startsWith("event:")) expect(wrongEvents(responseEvents(text))).toEqual([]);
      else expect(wrongResponse(JSON.parse(text) as Record<string, unknown>)).toEqual([]);
    }),
    { numRuns: 500 },
  );
  expect((await ask()).status).toBe(200);
});

test("no mutation of an upstream's stream makes a client's stream invalid", { timeout: 60_000 }, async () => {
  const { ask, upstream } = await startResponses({});
  const tools = [
    { id: "call_1", name: "add", arguments: ["{", "}"] },
    { id: "call_2", name: "add", arguments: ["{}"] },
  ];
  const frames = chunkStream(["a", "b"], { reasoning: ["hm"], tools, usage: true, logprobs: true });
  const chunks = frames.slice(0, -1).map((frame) => JSON.parse(frame.slice(6)) as unknown);
  const change = fc.record({ chunk: fc.nat(chunks.length - 1), pick: fc.nat(), value: fc.option(hostile, { nil: undefined }) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 2 }), fc.boolean(), async (changes, encrypted) => {
      const sent = [...chunks];
      for (const { chunk, pick, value } of changes) {
        const paths = pathsOf(sent[chunk]).filter((path) => path.length > 0);
        sent[chunk] = mutated(sent[chunk], paths[pick % Math.max(1, paths.length)] ?? [], value) ?? {};
      }
      const writes = [...sent.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), "data: [DONE]\n\n"];
      upstream.script({ s: sse(writes) });
      const answer = await ask({ model: "up/s", stream: true, ...(encrypted ? { include: ["reasoning.encrypted_content"] } : {}) });
      const text = await answer.text();
      if (answer.status !== 200) expect(validateError(text, answer.headers)).toEqual([]);
      else {
        const events = responseEvents(text);
        if (events.at(-1)?.type === "response.failed") expect(events.at(-1)?.["error"]).not.toMatchObject({ code: "internal_error" });
        else expect(wrongEvents(events)).toEqual([]);
      }
    }),
    { numRuns: 300 },
  );
});

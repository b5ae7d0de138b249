import * as fc from "../../support/properties.ts";
import { expect, test } from "vitest";
import { streamed } from "../../providers/anthropic/wire.ts";
import { chunkStream, sse } from "../../support/upstream.ts";
import { hostile, mutated, pathsOf } from "../../support/mutation.ts";
import { messageEvents, startMessages, wrongError, wrongEvents, wrongMessage, type Fields } from "./asking.ts";
import { says } from "../../support/answers.ts";

const cache_control = { type: "ephemeral" };

const valid = {
  model: "up/a",
  max_tokens: 2000,
  system: [{ type: "text", text: "Be brief.", cache_control }],
  messages: [
    { role: "user", content: "Hi" },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm", signature: "c2ln" },
        { type: "redacted_thinking", data: "chorale.1.e30" },
        { type: "text", text: "So." },
        { type: "tool_use", id: "toolu_1", name: "add", input: { a: 1 } },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "4" }], is_error: false },
        { type: "image", source: { type: "base64", media_type: "image/png", data: "AA==" } },
        { type: "document", source: { type: "text", media_type: "text/plain", data: "x" }, title: "x", citations: { enabled: false } },
        { type: "search_result", source: "x", title: "y", content: [{ type: "text", text: "z" }] },
      ],
    },
    { role: "system", content: [{ type: "text", text: "x" }] },
  ],
  tools: [{ name: "add", description: "x", input_schema: { type: "object" }, strict: true, cache_control }],
  tool_choice: { type: "auto", disable_parallel_tool_use: true },
  thinking: { type: "enabled", budget_tokens: 1024, display: "summarized" },
  output_config: { effort: "low", format: { type: "json_schema", schema: { type: "object" } } },
  metadata: { user_id: "x" },
  service_tier: "auto",
  stop_sequences: ["x"],
  stream: false,
  temperature: 1,
  top_k: 5,
  top_p: 1,
  context_management: { edits: [] },
  chorale: { expose: "summary", budget: { usd: 1 } },
};

const change = fc.record({
  path: fc.constantFrom(...pathsOf(valid).filter((path) => path.length > 0)),
  value: fc.option(hostile, { nil: undefined }),
});

test.each([{}, { dialect: "openai" }])(
  "no mutation of a body makes the gateway fail, before a leaf with %j",
  { timeout: 60_000 },
  async (provider) => {
    const { send, ask } = await startMessages({ "*": says("4") }, { provider });
    expect((await ask(valid)).status).toBe(200);
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 3 }), fc.boolean(), fc.boolean(), async (changes, stream, counts) => {
        const body = changes.reduce<unknown>((body, { path, value }) => mutated(body, path, value), { ...valid, stream });
        const answer = await send(counts ? "/messages/count_tokens" : "/messages", JSON.stringify(body));
        const text = await answer.text();
        expect(answer.status === 200 || (answer.status >= 400 && answer.status < 500), text).toBe(true);
        if (answer.status !== 200) expect(wrongError(text, answer.headers)).toEqual([]);
        else if (counts) expect(JSON.parse(text)).toEqual({ input_tokens: expect.any(Number) as unknown });
        else if (text.startsWith("event:")) expect(wrongEvents(messageEvents(text))).toEqual([]);
        else expect(wrongMessage(JSON.parse(text) as Fields)).toEqual([]);
      }),
      { numRuns: 250 },
    );
    expect((await ask()).status).toBe(200);
  },
);

const tools = [
  { id: "call_1", name: "add", arguments: ["{", "}"] },
  { id: "call_2", name: "add", arguments: ["{}"] },
];
const chunks = chunkStream(["a", "b"], { reasoning: ["hm"], tools, usage: true, logprobs: true })
  .slice(0, -1)
  .map((frame) => JSON.parse(frame.slice(6)) as unknown);
const native = streamed({
  blocks: [
    { type: "thinking", thinking: "hm", signature: "c2ln" },
    { type: "redacted_thinking", data: "x" },
    { type: "text", text: "So." },
    { type: "tool_use", id: "toolu_1", name: "add", input: { a: 1 } },
  ],
  stop: "tool_use",
}).map((frame) => JSON.parse(frame.slice(frame.indexOf("\ndata: ") + 7)) as unknown);

test.each([
  ["openai", chunks],
  ["anthropic", native],
] as const)(
  "no mutation of the stream of an upstream of kind %s makes a client's stream invalid",
  { timeout: 60_000 },
  async (kind, said) => {
    const { ask, upstream } = await startMessages({}, { provider: { kind } });
    const edit = fc.record({ chunk: fc.nat(said.length - 1), pick: fc.nat(), value: fc.option(hostile, { nil: undefined }) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 2 }), fc.boolean(), async (edits, thinks) => {
        const sent = [...said];
        for (const { chunk, pick, value } of edits) {
          const paths = pathsOf(sent[chunk]).filter((path) => path.length > 0);
          sent[chunk] = mutated(sent[chunk], paths[pick % Math.max(1, paths.length)] ?? [], value) ?? {};
        }
        const ending = kind === "openai" ? ["data: [DONE]\n\n"] : [];
        upstream.script({ s: sse([...sent.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), ...ending]) });
        const answer = await ask({ model: "up/s", stream: true, ...(thinks ? { thinking: { type: "adaptive" } } : {}) });
        const text = await answer.text();
        if (answer.status !== 200) expect(wrongError(text, answer.headers)).toEqual([]);
        else {
          const events = messageEvents(text);
          if (events.at(-1)?.type === "error") expect(text).not.toContain("internal_error");
          else expect(wrongEvents(events)).toEqual([]);
        }
      }),
      { numRuns: 200 },
    );
  },
);

import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { GatewayError } from "../../../src/model/errors.ts";
import type { Delta } from "../../../src/model/events.ts";
import { ChunkReader } from "../../../src/providers/openai/chunks.ts";
import { chunkPaths } from "../../../src/providers/openai/frames.ts";
import { SseReader } from "../../../src/upstream/sse.ts";
import { accumulate, validateStream } from "../../support/stream-validator.ts";
import { chunkStream, frame } from "../../support/upstream.ts";

const identity = { id: "chatcmpl-7", model: "smart", created: 1_700_000_000 };

interface Read {
  /** What goes to the client, as text. */
  readonly text: string;
  readonly deltas: readonly Delta[];
  readonly reader: ChunkReader;
}

/** Reads pieces of a stream as a leaf does, to its end. */
function readAll(pieces: readonly (string | Uint8Array)[], wantsUsage = false): Read {
  const reader = new ChunkReader({ identity, upstream: "up/a", wantsUsage, wallMs: () => 0 });
  const events = new SseReader("up/a");
  let bytes = "";
  const deltas: Delta[] = [];
  const take = (batch: ReturnType<ChunkReader["read"]>) => {
    if (!batch) return;
    bytes += batch.bytes ?? "";
    deltas.push(...batch.deltas);
    if (reader.failed) throw reader.failed;
  };
  for (const piece of pieces) {
    events.push(Buffer.from(piece).toString("latin1"));
    take(reader.read(events));
  }
  take(reader.end());
  const usage = wantsUsage ? (reader.usageBytes ?? "") : "";
  return { text: Buffer.from(`${bytes}${usage}data: [DONE]\n\n`, "latin1").toString("utf8"), deltas, reader };
}

/** What a canonical stream becomes: the same bytes under our identity. */
function renamed(frames: readonly string[]): string {
  return frames
    .join("")
    .replaceAll('"id":"chatcmpl-upstream"', '"id":"chatcmpl-7"')
    .replaceAll('"model":"upstream-model"', '"model":"smart"')
    .replaceAll('"created":1790000000', '"created":1700000000');
}

/** Text, reasoning, calls and ends by choice, as a fold of deltas and as a client's accumulation say them. */
function folded(deltas: readonly Delta[]): object {
  const choices: Record<number, Record<string, unknown>> = {};
  for (const delta of deltas) {
    const choice = (choices[delta.choice] ??= { text: "", reasoning: "", calls: [], reason: null });
    if (delta.type === "text") choice["text"] += delta.text;
    else if (delta.type === "reasoning") choice["reasoning"] += delta.text;
    else if (delta.type === "end") choice["reason"] = delta.reason;
    else if (delta.type === "tool-call") {
      const calls = choice["calls"] as string[];
      calls[delta.index] = (calls[delta.index] ?? "") + delta.text;
    }
  }
  return choices;
}

function accumulated(text: string): object {
  return Object.fromEntries(
    accumulate(text).choices.map(({ index, message, finish_reason: reason }) => [
      index,
      {
        text: message["content"] ?? "",
        reasoning: message["reasoning_content"] ?? "",
        calls: ((message["tool_calls"] ?? []) as { function: { arguments: string } }[]).map((call) => call.function.arguments),
        reason,
      },
    ]),
  );
}

const texts = fc.array(
  fc.oneof(
    fc.constantFrom("", '"', "\\", "\n", "data: ", '"}\n\n', "😀", "é", "\u2028", "\ud800", '"delta":{"content":"x'),
    fc.string({ unit: "grapheme", maxLength: 8 }),
  ),
  { minLength: 1, maxLength: 8 },
);
const tools = fc.option(
  fc.array(
    fc.record({ id: fc.uuid(), name: fc.constant("add"), arguments: fc.constantFrom(["{}"], ["{", '"a":', "1}"], ['{"é":"', '😀"}']) }),
    { minLength: 1, maxLength: 3 },
  ),
  { nil: undefined },
);

describe("ChunkReader", () => {
  test("lets canonical streams through byte for byte but for the identity, however they are cut", () => {
    fc.assert(
      fc.property(
        fc.record({
          texts,
          reasoning: texts,
          n: fc.constantFrom(1, 1, 2),
          logprobs: fc.boolean(),
          usage: fc.boolean(),
          tools,
          size: fc.integer({ min: 1, max: 400 }),
        }),
        ({ texts, reasoning, n, logprobs, usage, tools, size }) => {
          const frames = chunkStream(texts, { reasoning, n, logprobs, usage, ...(tools ? { tools, n: 1 } : {}) });
          const bytes = Buffer.from(frames.join(""));
          const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
            bytes.subarray(index * size, (index + 1) * size),
          );
          const { text, deltas } = readAll(pieces, usage);
          expect(text).toBe(renamed(frames));
          expect(validateStream(text, { usage })).toEqual([]);
          expect(folded(deltas)).toEqual(accumulated(text));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("cuts usage that was not asked for out of every chunk", () => {
    fc.assert(
      fc.property(texts, (texts) => {
        const { text, reader } = readAll(chunkStream(texts, { usage: true }));
        expect(text).toBe(renamed(chunkStream(texts)));
        expect(reader.usage).toEqual({ promptTokens: 7, completionTokens: 3 });
      }),
    );
  });

  test("takes the short way for what repeats, with the same outcome as the long way", () => {
    fc.assert(
      fc.property(texts, fc.constantFrom("content", "reasoning_content", "refusal"), (texts, field) => {
        // A space at another place in each chunk makes each a stranger: nothing repeats.
        const stranger = (index: number) => " ".repeat(index + 1);
        const make = (space: (index: number) => string) => [
          frame(
            '{"id":"chatcmpl-upstream","object":"chat.completion.chunk","created":1790000000,"model":"upstream-model","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}',
          ),
          ...texts.map((text, index) =>
            frame(
              `{"id":"chatcmpl-upstream","object":"chat.completion.chunk","created":1790000000,"model":"upstream-model",${space(index)}"choices":[{"index":0,"delta":{"${field}":${JSON.stringify(text)}},"finish_reason":null}]}`,
            ),
          ),
          frame(
            '{"id":"chatcmpl-upstream","object":"chat.completion.chunk","created":1790000000,"model":"upstream-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
          ),
          "data: [DONE]\n\n",
        ];
        const before = chunkPaths.template;
        const short = readAll(make(() => ""));
        expect(chunkPaths.template - before).toBe(texts.length - 1);
        const long = readAll(make(stranger));
        expect(chunkPaths.template - before).toBe(texts.length - 1);
        expect(short.text).toBe(renamed(make(() => "")));
        expect(long.text).toBe(renamed(make(stranger)));
        expect(short.deltas.filter((delta) => !("text" in delta) || delta.text !== "")).toEqual(long.deltas);
      }),
    );
  });

  test("keeps digits and fields that nobody knows, also where a chunk is odd", () => {
    const chunk = (rest: string) =>
      `data: {"id":"x","big":12345678901234567890,"choices":[{"index":0,${rest},"own":[1.10]}],"timings":{"a":1}}\n\n`;
    const { text } = readAll([
      chunk('"delta":{"role":"assistant","content":"a"},"finish_reason":null'),
      chunk('"delta":{"role":"assistant"},"finish_reason":"eos"'),
    ]);
    expect(text).toContain(
      '"big":12345678901234567890,"choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null,"own":[1.10]}],"timings":{"a":1}}',
    );
    expect(text).toMatch(/"own":\[1\.1\]\}\],"timings":\{"a":1\}\}/);
  });

  test("makes U+FFFD of what is no UTF-8, and counts it", () => {
    const before = chunkPaths.invalidUtf8;
    const frames = chunkStream(["a@b", "c@"]).map((bytes) => Buffer.from(Buffer.from(bytes).map((byte) => (byte === 64 ? 0xc3 : byte))));
    const { text, deltas } = readAll(frames);
    expect(text).toBe(renamed(chunkStream(["a\ufffdb", "c\ufffd"])));
    expect(folded(deltas)).toMatchObject({ 0: { text: "a\ufffdbc\ufffd" } });
    expect(chunkPaths.invalidUtf8 - before).toBe(2);
  });

  const head = { id: "x", object: "chat.completion.chunk", created: 1, model: "m" };
  const chunk = (delta: object, reason: string | null = null) => frame({ ...head, choices: [{ index: 0, delta, finish_reason: reason }] });
  const [role, four, end] = [chunk({ role: "assistant", content: "" }), chunk({ content: "4" }), chunk({}, "stop")];

  test.each<readonly [string, readonly string[], string]>([
    ["an error", [role, frame({ error: { message: "boom", type: "overloaded_error" } })], "upstream_overloaded"],
    ["no JSON", [role, four, "data: {x\n\n"], "upstream_protocol"],
    ["no object", [role, "data: 7\n\n"], "upstream_protocol"],
    ["no end", [role, four], "upstream_unreachable"],
    [
      "an end of one choice of two",
      [role, frame({ ...head, choices: [{ index: 1, delta: { role: "assistant" }, finish_reason: null }] }), end],
      "upstream_unreachable",
    ],
    ["nothing", [], "upstream_unreachable"],
    ["[DONE] alone", ["data: [DONE]\n\n"], "upstream_protocol"],
    ["a named error", [role, `event: error\n${frame({ message: "boom", type: "overloaded_error" })}`], "upstream_overloaded"],
    ["a named error of another shape", [role, `event: error\n${frame({ why: "boom" })}`], "upstream_error"],
    ["a flat error", [role, four, frame({ message: "boom", type: "rate_limit_error" }), frame("[DONE]")], "upstream_rate_limited"],
    ["a detail", [role, four, frame({ detail: "boom" }), frame("[DONE]")], "upstream_error"],
    ["something else and no finish reason", [role, four, frame({ type: "abort" }), frame("[DONE]")], "upstream_protocol"],
  ])("fails on a stream with %s", (_, pieces, code) => {
    const read = () => readAll([pieces.join("")]);
    expect(read).toThrow(GatewayError);
    expect(read).toThrow(expect.objectContaining({ code }) as Error);
  });

  test("learns no templates from chunks that never repeat", () => {
    const own = (id: number) => frame({ ...head, id: `x${id}`, choices: [{ index: 0, delta: { content: "4" }, finish_reason: null }] });
    const alike = frame({ ...head, choices: [{ index: 0, delta: { content: "4" }, finish_reason: null }] });
    const before = chunkPaths.template;
    const spliced = chunkPaths.spliced;
    readAll([role, ...Array.from({ length: 10 }, (_, id) => own(id)), end, frame("[DONE]")]);
    // Each chunk once, and once more for each of three templates.
    expect([chunkPaths.template - before, chunkPaths.spliced - spliced]).toEqual([0, 15]);
    readAll([role, own(1), own(2), alike, alike, own(3), alike, alike, end, frame("[DONE]")]);
    expect(chunkPaths.template - before).toBeGreaterThanOrEqual(2);
  });

  test("an event with a name is never taken for one that repeats", () => {
    const reader = new SseReader("up/a");
    reader.push("event: error\n");
    expect(reader.next()).toBeUndefined();
    reader.push('data: {"t":"a"}\n\n');
    expect(reader.take({ head: 'data: {"t":"', tail: '"}\n\n' })).toBeUndefined();
    expect(reader.next()).toEqual({ data: '{"t":"a"}', event: "error" });
  });

  test("tells what came together with an error only when something had been told before", () => {
    const error = frame({ error: { message: "boom" } });
    const told = (pieces: readonly string[]) => {
      const reader = new ChunkReader({ identity, upstream: "up/a", wantsUsage: false, wallMs: () => 0 });
      const events = new SseReader("up/a");
      const batches: number[] = [];
      try {
        for (const piece of pieces) {
          events.push(piece);
          batches.push(reader.read(events)?.deltas.length ?? 0);
        }
        return [...batches, reader.failed?.code];
      } catch (thrown) {
        return [...batches, "thrown", (thrown as GatewayError).code];
      }
    };
    expect(told([role + four + error])).toEqual(["thrown", "upstream_error"]);
    expect(told([role + four, four + error])).toEqual([1, 1, "upstream_error"]);
  });
});

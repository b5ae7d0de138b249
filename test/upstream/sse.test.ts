import { createParser } from "eventsource-parser";
import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import { SseReader, type SseEvent } from "../../src/upstream/sse.ts";

/** All events of bytes that come in these pieces, with the last one that no blank line ended where `rest` asks for it. */
function read(pieces: readonly Uint8Array[], rest = false): SseEvent[] {
  const reader = new SseReader("up/a");
  const found: SseEvent[] = [];
  for (const piece of pieces) {
    reader.push(Buffer.from(piece).toString("latin1"));
    for (let event = reader.next(); event; event = reader.next()) found.push(event);
  }
  const last = rest ? reader.rest() : undefined;
  return last ? [...found, last] : found;
}

function reference(text: string): SseEvent[] {
  const found: SseEvent[] = [];
  const parser = createParser({ onEvent: ({ data, event }) => found.push({ data, event: event ?? "" }) });
  parser.feed(text);
  return found;
}

const decoded = (events: readonly SseEvent[]) =>
  events.map(({ data, event }) => ({
    data: Buffer.from(data, "latin1").toString("utf8"),
    event: Buffer.from(event, "latin1").toString("utf8"),
  }));

function splitAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...[...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index] ?? 0, end));
}

const word = fc
  .oneof(
    fc.constantFrom("", " ", ":", "data", '{"a":"é"}', "[DONE]", "😀", "  x", "\u2028", "\ufeff"),
    fc.string({ unit: "grapheme", maxLength: 6 }),
  )
  .map((text) => text.replaceAll(/[\r\n\0]/g, ""));
const line = fc.oneof(
  { weight: 4, arbitrary: word.map((text) => `data: ${text}`) },
  { weight: 2, arbitrary: word.map((text) => `data:${text}`) },
  { weight: 4, arbitrary: fc.constant("") },
  word.map((text) => `: ${text}`),
  word.map((text) => `event: ${text}`),
  fc.constantFrom("data", "event", ":", "retry: 3000", "id: 7", "other: x", "nocolon"),
);

describe("SseReader", () => {
  test("reads what eventsource-parser reads, cut anywhere, whatever the line ends", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 30 }),
        fc.constantFrom("", "\ufeff"),
        fc.array(fc.nat({ max: 1000 }), { maxLength: 12 }),
        (lines, bom, cuts) => {
          // A CR at the very end may be half of a CRLF: a parser may wait for more.
          const text = `${bom}${lines.map(([content, end]) => content + end).join("")}:\n`;
          const bytes = Buffer.from(text, "utf8");
          expect(decoded(read(splitAt(bytes, cuts)))).toEqual(reference(text));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("reads the same at each single cut", () => {
    const text = '\ufeff: c\r\ndata: {"a":"é😀"}\r\n\r\nevent: x\rdata:1\rdata: 2\r\r\ndata: [DONE]\n\n';
    const bytes = Buffer.from(text, "utf8");
    const whole = reference(text);
    expect(whole).toHaveLength(3);
    for (let at = 0; at <= bytes.length; at += 1) expect(decoded(read(splitAt(bytes, [at])))).toEqual(whole);
    expect(decoded(read(Array.from(bytes, (byte) => Uint8Array.of(byte))))).toEqual(whole);
  });

  test.each([
    ["data: a", [{ data: "a", event: "" }]],
    ["data: a\n", [{ data: "a", event: "" }]],
    ["data: a\r", [{ data: "a", event: "" }]],
    ["data: a\n\n", [{ data: "a", event: "" }]],
    ["data: a\ndata: b", [{ data: "a\nb", event: "" }]],
    [": c", []],
    ["", []],
  ])("gives the rest of %j at the end", (text, events) => {
    expect(read([Buffer.from(text)], true)).toEqual(events);
  });

  test("takes what fits a template, and nothing else", () => {
    const template = { head: 'data: {"t":"', tail: '"}\n\n' };
    const take = (text: string) => {
      const reader = new SseReader("up/a");
      reader.push(text);
      return [reader.take(template), reader.next()?.data];
    };
    expect(take('data: {"t":"a"}\n\ndata: b\n\n')).toEqual(["a", "b"]);
    expect(take(String.raw`data: {"t":"a\"\\"}` + "\n\n")).toEqual([String.raw`a\"\\`, undefined]);
    expect(take('data: {"t":"a","u":1}\n\n')).toEqual([undefined, '{"t":"a","u":1}']);
    expect(take('data: {"t":"a"}\ndata: more\n\n')).toEqual([undefined, '{"t":"a"}\nmore']);
    expect(take('data: {"t":"a"}\n')).toEqual([undefined, undefined]);
    expect(take('data: {"t":"a')).toEqual([undefined, undefined]);
    expect(take('data: {"t":"a\tb"}\n\n')).toEqual([undefined, '{"t":"a\tb"}']);
    for (const wrong of [String.raw`\x`, String.raw`\u12g4`, String.raw`\\\q`])
      expect(take(`data: {"t":"${wrong}"}\n\n`)).toEqual([undefined, `{"t":"${wrong}"}`]);
    expect(take(String.raw`data: {"t":"\u00e9\\u\/\n"}` + "\n\n")[0]).toBe(String.raw`\u00e9\\u\/\n`);
  });

  test("refuses an event without an end, in one line or in many", () => {
    const giant = (piece: string) => () => {
      const reader = new SseReader("up/a");
      reader.push("data: ");
      for (let i = 0; i < 400; i += 1) {
        reader.push(piece);
        reader.next();
      }
    };
    expect(giant("x".repeat(64 * 1024))).toThrow(/^up\/a .*16 MiB/);
    expect(giant(`${"x".repeat(64 * 1024)}\ndata: `)).toThrow(/^up\/a .*16 MiB/);
  });

  test("reads a giant event in small pieces in linear time", () => {
    const reader = new SseReader("up/a");
    const startMs = performance.now();
    reader.push("data: ");
    for (let i = 0; i < 120_000; i += 1) {
      reader.push("x".repeat(100));
      expect(reader.next()).toBeUndefined();
    }
    reader.push("\n\n");
    expect(reader.next()?.data).toHaveLength(12_000_000);
    expect(performance.now() - startMs).toBeLessThan(3000);
  });

  test("bounds one event, not the stream", () => {
    const reader = new SseReader("up/a");
    const event = `data: ${"x".repeat(1024 * 1024)}\n\n`;
    for (let i = 0; i < 40; i += 1) {
      reader.push(event);
      expect(reader.next()?.data).toHaveLength(1024 * 1024);
      expect(reader.next()).toBeUndefined();
    }
  });
});

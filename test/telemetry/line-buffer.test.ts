import { expect, test } from "vitest";
import { LineBuffer } from "../../src/telemetry/line-buffer.ts";
import * as fc from "../support/properties.ts";

const string = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }));
const number = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.integer(), fc.double());
const fields = fc.record(
  { text: string, number, whole: fc.nat(), boolean: fc.boolean(), json: fc.jsonValue(), last: string },
  { requiredKeys: [] },
);

/** What a line says, by way of the buffer. */
function put(
  buffer: LineBuffer,
  told: { text?: string; number?: number; whole?: number; boolean?: boolean; json?: unknown; last?: string },
) {
  buffer.begin('{"begun":1');
  buffer.text(',"text":', told.text);
  buffer.number(',"number":', told.number);
  buffer.number(',"whole":', told.whole);
  buffer.boolean(',"boolean":', told.boolean);
  buffer.json(',"json":', told.json);
  buffer.text(',"last":', told.last);
  buffer.end("}\n");
}

test("writes what the serialiser would write, line by line", () => {
  fc.assert(
    fc.property(fc.array(fields, { maxLength: 5 }), (all) => {
      const buffer = new LineBuffer();
      for (const told of all) put(buffer, told);
      expect(buffer.lines).toBe(all.length);
      const lines = all.map(({ text, number: some, whole, boolean, json, last }) =>
        JSON.stringify({ begun: 1, text, number: some, whole, boolean, json, last }),
      );
      expect(buffer.take()).toBe(lines.map((line) => `${line}\n`).join(""));
      expect(buffer.length).toBe(0);
    }),
  );
});

test("takes lines of any length, and forgets the room that they took", () => {
  const buffer = new LineBuffer();
  const long = 'ä"\\\u0000'.repeat(100_000);
  put(buffer, { text: long, last: "x".repeat(300_000) });
  buffer.line("one more\n");
  const [first = "", second] = buffer.take().split("\n");
  expect(JSON.parse(first)).toEqual({ begun: 1, text: long, last: "x".repeat(300_000) });
  expect(second).toBe("one more");
  put(buffer, { whole: Number.MAX_SAFE_INTEGER });
  expect(buffer.take()).toBe(`{"begun":1,"whole":9007199254740991}\n`);
});

test("a line that something broke off is gone, and the next one is whole", () => {
  const buffer = new LineBuffer();
  const endless: unknown[] = [];
  endless.push(endless);
  put(buffer, { whole: 1 });
  expect(() => put(buffer, { text: "a", json: endless })).toThrow("circular");
  buffer.line("between\n");
  expect(() => put(buffer, { text: "b", json: endless })).toThrow("circular");
  put(buffer, { whole: 2 });
  expect(buffer.take()).toBe('{"begun":1,"whole":1}\nbetween\n{"begun":1,"whole":2}\n');
});

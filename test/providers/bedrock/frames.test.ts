import { crc32 } from "node:zlib";
import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { FrameReader, type Frame } from "../../../src/providers/bedrock/frames.ts";
import { event, exception, streamError } from "./frames.ts";

/** A frame written by hand: lengths, their checksum, headers of strings (type 7), payload, checksum of all. */
function byHand(headers: readonly (readonly [string, string])[], payload: string): Buffer {
  const head = Buffer.concat(
    headers.flatMap(([name, value]) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(Buffer.byteLength(value));
      return [Buffer.from([name.length]), Buffer.from(name), Buffer.from([7]), length, Buffer.from(value)];
    }),
  );
  const body = Buffer.from(payload);
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(16 + head.length + body.length, 0);
  prelude.writeUInt32BE(head.length, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  const all = Buffer.concat([prelude, head, body]);
  const end = Buffer.alloc(4);
  end.writeUInt32BE(crc32(all));
  return Buffer.concat([all, end]);
}

function readAll(pieces: readonly Uint8Array[]): readonly Frame[] {
  const reader = new FrameReader("bed/a");
  const frames: Frame[] = [];
  for (const piece of pieces) {
    reader.push(Buffer.from(piece));
    for (let frame = reader.next(); frame; frame = reader.next()) frames.push(frame);
  }
  return frames;
}

describe("FrameReader", () => {
  test("reads the message of AWS's own test suite that has neither headers nor payload", () => {
    expect(readAll([Buffer.from("000000100000000005c248eb7d98c8ff", "hex")])).toEqual([{ kind: "", name: "", body: "" }]);
  });

  test("reads a frame that was written by hand as the one that the codec writes", () => {
    const headers = [
      [":message-type", "event"],
      [":event-type", "messageStop"],
      [":content-type", "application/json"],
    ] as const;
    const payload = '{"stopReason":"é"}';
    const bytes = byHand(headers, payload);
    expect(bytes).toEqual(Buffer.from(event("messageStop", { stopReason: "é" })));
    expect(readAll([bytes])).toEqual([{ kind: "event", name: "messageStop", body: payload }]);
  });

  test("reads exceptions and errors", () => {
    expect(readAll([exception("throttlingException", "slow"), streamError("Overload", "busy")])).toEqual([
      { kind: "exception", name: "throttlingException", body: '{"message":"slow"}' },
      { kind: "error", name: "Overload", body: "busy" },
    ]);
  });

  test("reads the same frames however their bytes are split", () => {
    const frames = [
      event("messageStart", { role: "assistant" }),
      event("contentBlockDelta", { delta: { text: "é😀".repeat(50) } }),
      exception("x", "y"),
    ];
    const bytes = Buffer.concat(frames);
    const expected = readAll(frames);
    expect(expected).toHaveLength(3);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 30 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        expect(readAll(at.slice(1).map((end, i) => bytes.subarray(at[i], end)))).toEqual(expected);
      }),
    );
    expect(readAll([...bytes].map((byte) => Buffer.from([byte])))).toEqual(expected);
  });

  test("refuses a frame with any byte changed, and never waits for a length that its checksum denies", () => {
    const bytes = Buffer.from(event("contentBlockDelta", { delta: { text: "a" } }));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ change;
        expect(() => readAll([changed])).toThrow(expect.objectContaining({ code: "upstream_protocol" }) as Error);
      }),
    );
  });

  test.each([
    ["a length below that of an empty frame", 8],
    ["a length above that of any frame", 0x7f_ff_ff_ff],
  ])("refuses %s", (_, length) => {
    const prelude = Buffer.alloc(12);
    prelude.writeUInt32BE(length, 0);
    prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
    expect(() => readAll([prelude])).toThrow(expect.objectContaining({ code: "upstream_protocol" }) as Error);
  });
});

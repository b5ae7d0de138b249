import { createParser } from "eventsource-parser";
import * as fc from "../support/properties.ts";
import { expect, onTestFinished, test } from "vitest";
import { SseReader } from "../../src/upstream/sse.ts";
import { startPair } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, json, sse } from "../support/upstream.ts";

const piece = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.constantFrom("\n\n", "data: [DONE]", "\r\n", "\u2028", "\ufeff", '"\\', "</script>", "😀", "\u0000", ": c", "}\n\ndata: {"),
);
const texts = fc.array(piece, { maxLength: 5 });
/** Arguments are JSON, in pieces cut anywhere. */
const calls = fc.array(fc.tuple(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })), fc.integer({ min: 1, max: 5 })), {
  maxLength: 2,
});

/** The data of every event, by the reader that upstreams' streams are read with, in pieces of this size. */
function readBy(text: string, size: number): readonly string[] {
  const reader = new SseReader("up/a");
  const latin1 = Buffer.from(text).toString("latin1");
  const found: string[] = [];
  for (let at = 0; at < latin1.length; at += size) {
    reader.push(latin1.slice(at, at + size));
    for (let event = reader.next(); event; event = reader.next()) found.push(Buffer.from(event.data, "latin1").toString());
  }
  return found;
}

function reference(text: string): readonly string[] {
  const found: string[] = [];
  createParser({ onEvent: ({ data }) => found.push(data) }).feed(text);
  return found;
}

test("what an upstream streams is what a client reads, through a leaf and through the writer of a panel, however it is cut", async () => {
  const { gateway, upstream } = await startPair(
    { a: json(200, completionJson("4")), b: json(200, completionJson("4")) },
    { onFinished: onTestFinished, config: { models: { merged: { kind: "fuse", members: ["up/a", "up/b"], writer: "up/s" } } } },
  );
  await fc.assert(
    fc.asyncProperty(
      texts,
      texts,
      calls,
      fc.record({ split: fc.integer({ min: 1, max: 400 }), newline: fc.constantFrom("\n", "\r\n", "\r") }),
      async (said, thought, made, { split, newline }) => {
        const tools = made.map(([value, size], index) => {
          const text = JSON.stringify(value);
          const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) => text.slice(at * size, (at + 1) * size));
          // Half a character is no text: pieces are cut between them.
          return { id: `call_${index}`, name: "add", arguments: pieces.every((part) => part.isWellFormed()) ? pieces : [text] };
        });
        const words = ["It is ", ...said];
        const shape = { reasoning: thought, newline, usage: true, ...(tools.length > 0 ? { tools } : {}) };
        upstream.script({ s: sse(chunkStream(words, shape), { split }) });
        for (const model of ["up/s", "merged"]) {
          const answer = await gateway.chat({ model, stream: true, stream_options: { include_usage: true } });
          const text = await answer.text();
          expect(validateStream(text, { usage: true })).toEqual([]);
          const [choice] = accumulate(text).choices;
          const { content, reasoning_content: reasoning, tool_calls: called } = choice?.message ?? {};
          expect([content, reasoning ?? ""]).toEqual([words.join(""), thought.join("")]);
          const sent = (called as readonly { readonly function: { readonly arguments: string } }[] | undefined) ?? [];
          expect(sent.map((one) => one.function.arguments)).toEqual(tools.map((tool) => tool.arguments.join("")));
          expect(readBy(text, split)).toEqual(reference(text));
        }
      },
    ),
    { numRuns: 40 },
  );
});

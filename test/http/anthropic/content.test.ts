import { describe, expect, test } from "vitest";
import { Content } from "../../../src/http/anthropic/content.ts";
import type { Delta } from "../../../src/model/events.ts";
import * as fc from "../../support/properties.ts";

type Fields = Readonly<Record<string, unknown>>;

const call = (index: number, text: string, first = false): Delta => ({
  type: "tool-call",
  choice: 0,
  index,
  text,
  ...(first ? { id: `call_${index}`, name: "f" } : {}),
});
const say = (text: string): Delta => ({ type: "text", choice: 0, text });
const think = (text: string): Delta => ({ type: "reasoning", choice: 0, text });
const end: Delta = { type: "end", choice: 0, reason: "tool_calls" };

/** The blocks of deltas that come one by one, and the text of the events of each. */
function read(deltas: readonly Delta[]): { readonly blocks: readonly Fields[]; readonly told: readonly string[] } {
  const told: string[] = [];
  const open: number[] = [];
  const content = new Content({ stops: [], showsThinking: true }, (type, { index, delta }) => {
    if (type === "content_block_start") open.push(index as number);
    if (type === "content_block_stop") expect(open.pop()).toBe(index);
    const { text, thinking, partial_json: json } = (delta ?? {}) as Fields;
    if (delta !== undefined) {
      expect(open).toEqual([index]);
      told[index as number] = `${told[index as number] ?? ""}${(text ?? thinking ?? json ?? "") as string}`;
    }
  });
  for (const delta of deltas) content.addAll([delta]);
  content.finish();
  return { blocks: content.blocks.map((block) => JSON.parse(block) as Fields), told };
}

describe("what comes in the middle of a call", () => {
  test("waits until its arguments are whole", () => {
    const { blocks, told } = read([
      say("So."),
      call(0, '{"path":"/t}mp\\"', true),
      say("\n"),
      think("hm"),
      call(0, '/x","dry_run":{"a":[true]'),
      say("and"),
      call(0, "}} "),
      say(" so."),
      end,
    ]);
    expect(told).toEqual(["So.", '{"path":"/t}mp\\"/x","dry_run":{"a":[true]}} ', "\n", "hm", "and so."]);
    expect(blocks).toMatchObject([
      { type: "text", text: "So." },
      { type: "tool_use", id: "call_0", input: { path: '/t}mp"/x', dry_run: { a: [true] } } },
      { type: "text", text: "\n" },
      { type: "thinking", thinking: "hm" },
      { type: "text", text: "and so." },
    ]);
  });

  test("waits for the end of the answer where the arguments come to none", () => {
    const { told } = read([call(0, "", true), say("a"), call(0, "[1, "), say("b"), call(0, "2"), end]);
    expect(told).toEqual(["[1, 2", "ab"]);
  });

  test("is told at once where the arguments are whole", () => {
    const told: string[] = [];
    const content = new Content({ stops: [], showsThinking: true }, (type) => told.push(type));
    content.addAll([call(0, "{}", true), say("a")]);
    expect(told.slice(-3)).toEqual(["content_block_stop", "content_block_start", "content_block_delta"]);
  });

  test("is never lost, and neither is a piece of the arguments", () => {
    const inputs = fc.array(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }), { minLength: 1, maxLength: 3 });
    const cut = fc.record({ size: fc.integer({ min: 1, max: 5 }), words: fc.array(fc.string({ unit: "grapheme" }), { minLength: 1 }) });
    fc.assert(
      fc.property(inputs, cut, (inputs, { size, words }) => {
        const deltas = inputs.flatMap((input, index) => {
          const text = JSON.stringify(input);
          const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) => text.slice(at * size, (at + 1) * size));
          return [call(index, "", true), ...pieces.flatMap((piece, at) => [say(words[at % words.length] ?? ""), call(index, piece)])];
        });
        const { blocks } = read([...deltas, end]);
        const given = blocks.filter(({ type }) => type === "tool_use").map(({ input }) => input);
        expect(given).toEqual(inputs.map((input) => JSON.parse(JSON.stringify(input)) as unknown));
        const said = blocks.map(({ text }) => (text ?? "") as string).join("");
        expect(said).toBe(deltas.map((delta) => (delta.type === "text" ? delta.text : "")).join(""));
      }),
    );
  });
});

test("calls that come mixed are told one after the other", () => {
  const { told } = read([call(0, '{"a":', true), call(1, '{"b":', true), call(0, "1}"), call(1, "2}"), end]);
  expect(told).toEqual(['{"a":1}', '{"b":2}']);
});

test("a call that goes on when it was over is an error, never a shorter one", () => {
  const over = [call(0, "{}", true), call(1, "{", true)];
  expect(() => read([...over, call(0, '{"a":1}'), call(1, "}"), end])).toThrow(expect.objectContaining({ code: "upstream_protocol" }));
  expect(read([...over, call(0, "\n"), call(1, "}"), end]).told).toEqual(["{}", "{}"]);
});

import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import { newFold } from "../../../src/model/collect.ts";
import type { Choice } from "../../../src/model/completion.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import type { Delta } from "../../../src/model/events.ts";
import { readAnswer } from "../../../src/providers/anthropic/answer.ts";
import { MessageStream } from "../../../src/providers/anthropic/stream.ts";
import type { Answered, Block } from "./wire.ts";
import { event, streamed, whole } from "./wire.ts";

interface Reading {
  readonly deltas: readonly Delta[];
  readonly reader: MessageStream;
}

/** Reads pieces of a stream to its end. Throws what the reader throws. */
function readPieces(pieces: readonly (string | Uint8Array)[]): Reading {
  const reader = new MessageStream({ upstream: "up/c", answer: "msg_9", keep: () => {} });
  const deltas = pieces.flatMap((piece) => reader.read(Buffer.from(piece)));
  if (reader.failed) throw reader.failed;
  return { deltas: [...deltas, ...reader.end()], reader };
}

function choicesOf(deltas: readonly Delta[]): readonly Choice[] {
  const fold = newFold();
  for (const delta of deltas) fold.add(delta);
  return fold.choices();
}

const choiceOf = (frames: readonly string[]) => choicesOf(readPieces(frames).deltas)[0];

function failure(pieces: readonly string[]): GatewayError {
  try {
    readPieces(pieces);
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error("it did not fail");
}

const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("é😀", '"\\\n', "\u2028", "data: x"));
const filled = text.filter((value) => value !== "");
const block: fc.Arbitrary<Block> = fc.oneof(
  fc.record({ type: fc.constant("text"), text: filled }),
  fc.record({ type: fc.constant("thinking"), thinking: text, signature: fc.base64String({ minLength: 4 }) }),
  fc.record({ type: fc.constant("redacted_thinking"), data: fc.base64String({ minLength: 4 }) }),
  fc.record({
    type: fc.constant("tool_use"),
    id: fc.stringMatching(/^toolu_\w{3}$/),
    name: fc.constant("f"),
    input: fc.dictionary(text, fc.jsonValue()),
  }),
  // Of no type that is known here.
  fc.record({ type: fc.constant("server_tool_use"), id: fc.constant("s"), name: fc.constant("web_search"), input: fc.constant({}) }),
);
const answered: fc.Arbitrary<Answered> = fc.record({
  blocks: fc.array(block, { maxLength: 5 }),
  stop: fc.constantFrom("end_turn", "max_tokens", "tool_use", "refusal", "odd"),
  usage: fc.record({ input_tokens: fc.nat(99), output_tokens: fc.nat(99), cache_read_input_tokens: fc.nat(99) }),
});

const withoutUnread = ({ message, ...choice }: Choice) => ({ ...choice, message: JSON.parse(JSON.stringify(message)) as object });

describe("an answer", () => {
  test("is the same streamed and whole", () => {
    fc.assert(
      fc.property(answered, (given) => {
        const { deltas, reader } = readPieces(streamed(given));
        const answer = readAnswer(Buffer.from(JSON.stringify(whole(given))), { upstream: "up/c", answer: "msg_9", keep: () => {} });
        expect(choicesOf(deltas).map(withoutUnread)).toEqual(answer.choices.map(withoutUnread));
        expect({ ...reader.reply, usage: reader.usage }).toEqual({ id: answer.id, model: answer.model, usage: answer.usage });
        expect([reader.complete, reader.done]).toEqual([true, true]);
      }),
    );
  });

  test("is the same however its bytes are cut", () => {
    const newline = fc.constantFrom("\n", "\r\n", "\r");
    fc.assert(
      fc.property(answered, newline, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (given, end, sizes) => {
        const frames = streamed(given).map((frame) => frame.replaceAll("\n", end));
        const bytes = Buffer.from(`: comment${end}${end}${frames.join("")}`);
        const pieces: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        const { deltas, reader } = readPieces(pieces);
        const { deltas: direct, reader: other } = readPieces([bytes]);
        expect(deltas).toEqual(direct);
        expect([reader.usage, reader.reply]).toEqual([other.usage, other.reply]);
      }),
    );
  });

  test("has each call in one piece, in order, whose arguments are JSON", () => {
    fc.assert(
      fc.property(answered, (given) => {
        const calls = readPieces(streamed(given)).deltas.filter((delta) => delta.type === "tool-call");
        const indices = calls.map(({ index }) => index);
        expect(indices).toEqual(indices.toSorted((a, b) => a - b));
        expect(calls.filter(({ id }) => id !== undefined).map(({ index }) => index)).toEqual([...new Set(indices)]);
        for (const index of new Set(indices))
          JSON.parse(
            calls
              .filter((call) => call.index === index)
              .map(({ text }) => text)
              .join(""),
          );
      }),
    );
  });
});

const start = event("message_start", { message: { id: "msg_1", model: "claude-x", usage: { input_tokens: 7, output_tokens: 1 } } });
const tool = (index: number, id: string, input: unknown = {}) =>
  event("content_block_start", { index, content_block: { type: "tool_use", id, name: "f", input } });
const json = (index: number, partial: string) =>
  event("content_block_delta", { index, delta: { type: "input_json_delta", partial_json: partial } });
const stop = (index: number) => event("content_block_stop", { index });
const end = (reason = "end_turn") => [
  event("message_delta", { delta: { stop_reason: reason }, usage: { output_tokens: 3 } }),
  event("message_stop"),
];
const say = (index: number, piece: string) => event("content_block_delta", { index, delta: { type: "text_delta", text: piece } });
const open = (index: number) => event("content_block_start", { index, content_block: { type: "text", text: "" } });

describe("calls", () => {
  test("that are interleaved leave one after the other", () => {
    const frames = [
      start,
      tool(0, "a"),
      tool(1, "b"),
      json(1, '{"x":'),
      json(0, '{"y":'),
      json(1, "1}"),
      stop(1),
      json(0, "2}"),
      stop(0),
      ...end("tool_use"),
    ];
    const { deltas } = readPieces(frames);
    expect(deltas.flatMap((delta) => (delta.type === "tool-call" ? [[delta.index, delta.id, delta.text]] : []))).toEqual([
      [0, "a", ""],
      [0, undefined, '{"y":'],
      [0, undefined, "2}"],
      [1, "b", '{"x":1}'],
    ]);
  });

  test("keep their digits and their white space", () => {
    const text = '{"id": 12345678901234567890, "2": 1.10}';
    expect(choiceOf([start, tool(0, "a"), json(0, text), stop(0), ...end("tool_use")])?.message.tool_calls?.[0]?.function?.arguments).toBe(
      text,
    );
    const answer = JSON.stringify(whole({ blocks: [{ type: "tool_use", id: "a", name: "f", input: 0 }] })).replace(
      '"input":0',
      `"input": ${text}`,
    );
    expect(
      readAnswer(Buffer.from(answer), { upstream: "up/c", answer: "msg_9", keep: () => {} }).choices[0]?.message.tool_calls?.[0]?.function
        ?.arguments,
    ).toBe(text);
  });

  test("may come whole with their start", () => {
    expect(choiceOf([start, tool(0, "a", { x: 1 }), stop(0), ...end("tool_use")])?.message.tool_calls?.[0]?.function?.arguments).toBe(
      '{"x":1}',
    );
  });

  test("without an id get one", () => {
    expect(choiceOf([start, tool(0, ""), stop(0), ...end()])).toMatchObject({
      finishReason: "tool_calls",
      message: { tool_calls: [{ id: "toolu_msg_9_0" }] },
    });
  });

  test("that are not stopped end with the answer", () => {
    expect(choiceOf([start, tool(0, "a"), ...end("max_tokens")])).toMatchObject({
      finishReason: "length",
      message: { tool_calls: [{ function: { arguments: "{}" } }] },
    });
  });
});

describe("the end", () => {
  test("is a stop reason, even when the connection closes behind it", () => {
    const [delta = ""] = end();
    expect(choiceOf([start, open(0), say(0, "4"), stop(0), delta])).toMatchObject({ finishReason: "stop", message: { content: "4" } });
  });

  test("may lack its blank line", () => {
    const [delta = ""] = end();
    expect(choiceOf([start, open(0), say(0, "4"), delta.trimEnd()])).toMatchObject({ finishReason: "stop" });
  });

  test("is missing when the stream only closes", () => {
    expect(failure([start, open(0), say(0, "4"), stop(0)]).code).toBe("upstream_unreachable");
    expect(failure([]).code).toBe("upstream_unreachable");
    expect(failure([start, event("message_delta", { delta: { stop_reason: null } })]).code).toBe("upstream_unreachable");
  });

  test("is one: nothing comes behind it", () => {
    expect(choiceOf([start, open(0), say(0, "4"), ...end(), say(0, "5"), ...end("max_tokens")])).toMatchObject({
      finishReason: "stop",
      message: { content: "4" },
    });
  });
});

describe("failures", () => {
  const error = (type: string, message = "Boom.") => event("error", { error: { type, message } });

  test("before any content are thrown at once", () => {
    expect(failure([start + error("overloaded_error")])).toMatchObject({ code: "upstream_overloaded" });
    expect(failure([start + open(0) + say(0, "4") + error("rate_limit_error")])).toMatchObject({ code: "upstream_rate_limited" });
  });

  test("behind content that was shown stand behind what came with them", () => {
    const reader = new MessageStream({ upstream: "up/c", answer: "msg_9", keep: () => {} });
    expect(reader.read(Buffer.from(start + open(0) + say(0, "4")))).toHaveLength(1);
    expect(reader.read(Buffer.from(say(0, "5") + error("api_error")))).toEqual([{ type: "text", choice: 0, text: "5" }]);
    expect(reader.failed?.wire).toEqual({ message: "Boom.", type: "api_error", param: null, code: "upstream_error" });
  });

  test("of the event stream are told as such", () => {
    expect(failure([start, "data: {oops\n\n"]).code).toBe("upstream_protocol");
    expect(failure(['data: {"error":{"message":"no","type":"timeout_error"}}\n\n']).code).toBe("upstream_timeout");
  });
});

test("events, deltas and blocks that are not known say nothing", () => {
  const frames = [
    start,
    event("ping"),
    event("news", { a: 1 }),
    open(0),
    event("content_block_delta", { index: 0, delta: { type: "sparkle_delta", text: "x" } }),
    event("content_block_start", { index: 1, content_block: { type: "hologram", text: "x" } }),
    event("content_block_delta", { index: 1, delta: { type: "text_delta", text: "x" } }),
    event("content_block_delta", { index: 9, delta: { type: "input_json_delta", partial_json: "{}" } }),
    event("message_delta", { delta: { container: {} } }),
    "data: []\n\n",
    "data: [DONE]\n\n",
    say(0, "4"),
    ...end(),
  ];
  expect(choiceOf(frames)).toMatchObject({ finishReason: "stop", message: { content: "4" } });
});

test("sources with an address are annotations where the text stands on them; others keep their own words", () => {
  const web = { type: "web_search_result_location", url: "https://example.com", title: "Example", cited_text: "x", encrypted_index: "e" };
  const page = { type: "page_location", cited_text: "y", document_index: 0, start_page_number: 1, end_page_number: 2 };
  const given: Answered = {
    blocks: [
      { type: "text", text: "So: " },
      { type: "text", text: "it is.", citations: [web, page] },
    ],
  };
  const message = {
    content: "So: it is.",
    annotations: [{ type: "url_citation", url_citation: { start_index: 4, end_index: 10, url: "https://example.com", title: "Example" } }],
    citations: [page],
  };
  expect(choiceOf(streamed(given))?.message).toMatchObject(message);
  expect(
    readAnswer(Buffer.from(JSON.stringify(whole(given))), { upstream: "up/c", answer: "msg_9", keep: () => {} }).choices[0]?.message,
  ).toMatchObject(message);
});

test("counts are cumulative; what a later event does not know stays", () => {
  const frames = [
    event("message_start", { message: { usage: { input_tokens: 7, cache_read_input_tokens: 5, output_tokens: 1 } } }),
    event("message_delta", {
      delta: { stop_reason: "end_turn" },
      usage: { input_tokens: 9, cache_read_input_tokens: null, output_tokens: 4 },
    }),
    event("message_stop"),
  ];
  expect(readPieces(frames).reader.usage).toEqual({ promptTokens: 14, completionTokens: 4, cachedTokens: 5 });
});

test.each<readonly [string, string]>([
  ["{oops", "upstream_protocol"],
  ["[]", "upstream_protocol"],
  ["null", "upstream_protocol"],
  ['{"type":"message"}', "upstream_protocol"],
  ['{"content":"4"}', "upstream_protocol"],
  ['{"type":"error","error":{"type":"overloaded_error","message":"x"}}', "upstream_overloaded"],
  ['{"error":"boom"}', "upstream_error"],
])("%s is no answer", (body, code) => {
  expect(() => readAnswer(Buffer.from(body), { upstream: "up/c", answer: "msg_9", keep: () => {} })).toThrow(
    expect.objectContaining({ code }),
  );
});

test("no JSON in the place of an event breaks the reader", () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue()),
      fc.constantFrom("content_block_start", "content_block_delta", "message_start", "message_delta", "error"),
      (values, type) => {
        const frames = values.flatMap((value) => [
          `data: ${JSON.stringify(value)}\n\n`,
          event(type, { index: 0, delta: value, content_block: value, message: value, error: value }),
        ]);
        try {
          readPieces([start, ...frames, ...end()]);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(GatewayError);
        }
      },
    ),
  );
});

import { describe, expect, test } from "vitest";
import { GatewayError } from "../../../src/model/errors.ts";
import type { ChatBody, Message } from "../../../src/model/request.ts";
import { readThoughts, writeThoughts, type Thought } from "../../../src/providers/translate/reasoning.ts";
import { readTools } from "../../../src/providers/translate/tools.ts";
import { readTurns } from "../../../src/providers/translate/turns.ts";
import { refuseFields } from "../../../src/providers/translate/unsupported.ts";

type Fields = Readonly<Record<string, unknown>>;

const call = (id: string, name: string) => ({ id, type: "function", function: { name, arguments: "{}" } });

function refusal(act: () => unknown): string | undefined {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.code === "incapable") return thrown.details.param;
    throw thrown;
  }
  return undefined;
}

describe("readTurns", () => {
  test("merges messages of one side, and names the tool of each result", () => {
    const turns = readTurns(
      [
        { role: "system", content: "A." },
        { role: "developer", content: "B." },
        { role: "user", content: "C." },
        { role: "user", content: [{ type: "text", text: "D." }] },
        { role: "assistant", content: "E." },
        { role: "assistant", tool_calls: [call("1", "f"), call("2", "g")] },
        { role: "tool", tool_call_id: "2", content: "two" },
        { role: "tool", tool_call_id: "1", content: "one" },
        { role: "user", content: "F." },
      ],
      "up/a",
    );
    const text = (parts: readonly object[]) => parts.map((part) => (part as { text: string }).text);
    expect(turns.map((turn) => [turn.role, text(turn.parts)])).toEqual([
      ["system", ["A.", "B."]],
      ["user", ["C.", "D."]],
      ["assistant", ["E."]],
      ["user", ["F."]],
    ]);
    const [, , assistant, user] = turns;
    expect(assistant?.role === "assistant" && assistant.calls.map(({ id, name }) => [id, name])).toEqual([
      ["1", "f"],
      ["2", "g"],
    ]);
    expect(user?.role === "user" && user.results.map(({ id, name, parts }) => [id, name, ...text(parts)])).toEqual([
      ["2", "g", "two"],
      ["1", "f", "one"],
    ]);
  });

  test.each<readonly [string, Message]>([
    ["messages[0].content[0].type", { role: "user", content: [{ type: "input_video" }] }],
    ["messages[0].content[0].type", { role: "user", content: ["text"] }],
    ["messages[0].content[0].image_url.url", { role: "user", content: [{ type: "image_url", image_url: { url: "file:///etc/passwd" } }] }],
    ["messages[0].content[0].file", { role: "user", content: [{ type: "file", file: {} }] }],
    ["messages[0].content[0].input_audio", { role: "user", content: [{ type: "input_audio", input_audio: "x" }] }],
    ["messages[0].tool_calls[0].type", { role: "assistant", tool_calls: [{ id: "1", type: "custom", custom: { name: "f", input: "x" } }] }],
  ])("refuses %s by its path", (param, message) => {
    expect(refusal(() => readTurns([message], "up/a"))).toBe(param);
  });

  test("takes bare base64 for what the file's name says", () => {
    const part = (file: Fields) => readTurns([{ role: "user", content: [{ type: "file", file }] }], "up/a")[0]?.parts[0];
    expect(part({ file_data: "AA==", filename: "notes.TXT" })).toMatchObject({
      source: { mediaType: "text/plain", base64: "AA==" },
      name: "notes.TXT",
    });
    expect(part({ file_data: "AA==" })).toMatchObject({ source: { mediaType: "application/pdf" } });
    expect(part({ file_id: "file-1" })).toMatchObject({ source: { kind: "id", id: "file-1" } });
  });
});

describe("ids of calls", () => {
  const said = (...ids: readonly string[]): readonly Message[] => [
    { role: "assistant", tool_calls: ids.map((id) => call(id, `f${id}`)) },
    ...ids.map((id) => ({ role: "tool", tool_call_id: id, content: id })),
  ];
  const idsOf = (messages: readonly Message[]) =>
    readTurns(messages, "up/a").flatMap((turn) =>
      turn.role === "assistant"
        ? turn.calls.map(({ id, name }) => `${id} ${name}`)
        : turn.role === "user"
          ? turn.results.map(({ id, name }) => `${id} ${name}`)
          : [],
    );

  test("are each those of one call, whose result has the same", () => {
    const messages = [...said("0", "1"), ...said("0_2", "0"), ...said("0")];
    expect(idsOf(messages)).toEqual(["0 f0", "1 f1", "0 f0", "1 f1", "0_2 f0_2", "0_3 f0", "0_2 f0_2", "0_3 f0", "0_4 f0", "0_4 f0"]);
  });

  test("hang on nothing that comes later, so that a prompt stays the same at its front", () => {
    const rounds = [...said("0"), ...said("0"), ...said("0_2"), ...said("0")];
    const all = idsOf(rounds);
    expect(new Set(all).size).toBe(4);
    for (let length = 2; length <= rounds.length; length += 2) expect(idsOf(rounds.slice(0, length))).toEqual(all.slice(0, length));
  });

  test("are found quickly, however many calls want the same one", () => {
    const messages = Array.from({ length: 20_000 }, () => said("0")).flat();
    expect(new Set(idsOf(messages)).size).toBe(20_000);
  });
});

describe("readTools", () => {
  const read = (fields: Fields) => readTools({ model: "m", messages: [], ...fields }, "up/a");

  test.each<readonly [unknown, unknown]>([
    [undefined, undefined],
    [null, undefined],
    ["auto", { mode: "auto" }],
    ["none", { mode: "none" }],
    ["required", { mode: "required" }],
    [
      { type: "function", function: { name: "f" } },
      { mode: "named", name: "f" },
    ],
    [{ type: "allowed_tools", allowed_tools: { mode: "auto", tools: [] } }, { mode: "auto" }],
  ])("tool_choice %j", (choice, neutral) => {
    expect(read({ tool_choice: choice }).choice).toEqual(neutral);
  });

  test.each<readonly [string, Fields]>([
    [
      "tools[1].type",
      {
        tools: [
          { type: "function", function: { name: "f" } },
          { type: "custom", custom: { name: "g" } },
        ],
      },
    ],
    ["tool_choice", { tool_choice: { type: "custom", custom: { name: "g" } } }],
    [
      "tool_choice",
      { tool_choice: { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [{ type: "custom", custom: { name: "g" } }] } } },
    ],
  ])("refuses %s", (param, fields) => {
    expect(refusal(() => read(fields))).toBe(param);
  });
});

test("thoughts of one server come back unchanged, and only to it", () => {
  const thoughts: readonly Thought[] = [
    { type: "text", text: "Hm.", signature: "c2ln" },
    { type: "text", text: "" },
    { type: "encrypted", data: "ZW5j", place: { text: 3, calls: 0 } },
    { type: "text", text: "Hm?", place: { text: 3, calls: 1 } },
  ];
  const message = { reasoning_details: writeThoughts(thoughts, "a-v1") };
  expect(readThoughts(message, "a-v1")).toEqual(thoughts);
  expect(readThoughts(message, "b-v1")).toEqual([]);
  expect(readThoughts({ reasoning_details: [null, 1, { type: "reasoning.summary", summary: "x" }], thinking_blocks: "x" }, "a-v1")).toEqual(
    [],
  );
});

test("only a field that asks for something is refused", () => {
  const body = (fields: Fields) => ({ model: "m", messages: [], ...fields }) as ChatBody;
  const check = (fields: Fields) => refusal(() => refuseFields(body(fields), "up/a", { bias: undefined, penalty: 0, flag: false }));
  expect([{}, { bias: null }, { bias: {} }, { penalty: 0 }, { flag: false }].map(check)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect([{ bias: { a: 1 } }, { penalty: 1 }, { flag: true }].map(check)).toEqual(["bias", "penalty", "flag"]);
});

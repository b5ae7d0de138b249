import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decisions } from "../../../src/http/openai/responses/fields.ts";
import { responseEvents, startResponses, wrongEvents } from "./answering.ts";
import { calls, says } from "../../support/answers.ts";

type Fields = Record<string, unknown>;

const call = (id: string) => ({ type: "function_call", call_id: id, name: "add", arguments: "{}" });
const output = (id: string, text = "4") => ({ type: "function_call_output", call_id: id, output: text });
const chatCall = (id: string) => ({ id, type: "function", function: { name: "add", arguments: "{}" } });
const user = (content: unknown) => ({ role: "user", content });

const start = () => startResponses({ a: says("4") });

test.each<[string, unknown[], unknown[]]>([
  [
    "one turn is one message",
    [
      user("x"),
      { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }] },
      { role: "assistant", content: "So." },
      call("1"),
      output("1"),
    ],
    [
      user("x"),
      { role: "assistant", content: "So.", reasoning_content: "hm", tool_calls: [chatCall("1")] },
      { role: "tool", tool_call_id: "1", content: "4" },
    ],
  ],
  [
    "two messages of the assistant stay two",
    [{ role: "assistant", content: "a" }, { role: "assistant", content: "b" }, user("x")],
    [{ role: "assistant", content: "a" }, { role: "assistant", content: "b" }, user("x")],
  ],
  [
    "outputs follow their calls, wherever they stand",
    [user("x"), call("1"), call("2"), user("wait"), output("2", "two"), output("1", "one")],
    [
      user("x"),
      { role: "assistant", content: null, tool_calls: [chatCall("1"), chatCall("2")] },
      { role: "tool", tool_call_id: "1", content: "one" },
      { role: "tool", tool_call_id: "2", content: "two" },
      user("wait"),
    ],
  ],
  [
    "an id may come again in a later turn",
    [user("x"), call("1"), output("1", "one"), user("y"), call("1"), output("1", "two")],
    [
      user("x"),
      { role: "assistant", content: null, tool_calls: [chatCall("1")] },
      { role: "tool", tool_call_id: "1", content: "one" },
      user("y"),
      { role: "assistant", content: null, tool_calls: [chatCall("1")] },
      { role: "tool", tool_call_id: "1", content: "two" },
    ],
  ],
  [
    "thoughts between calls begin a turn",
    [user("x"), call("1"), { type: "reasoning", content: [{ type: "reasoning_text", text: "hm" }] }, call("2"), output("1"), output("2")],
    [
      user("x"),
      { role: "assistant", content: null, tool_calls: [chatCall("1")] },
      { role: "tool", tool_call_id: "1", content: "4" },
      { role: "assistant", content: null, reasoning_content: "hm", tool_calls: [chatCall("2")] },
      { role: "tool", tool_call_id: "2", content: "4" },
    ],
  ],
  [
    "parts keep their order and their media",
    [
      user([
        { type: "input_text", text: "Look:" },
        { type: "input_image", image_url: "https://example.org/a.png", detail: "low" },
        { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" },
        { type: "input_audio", input_audio: { data: "AA==", format: "wav" } },
      ]),
    ],
    [
      user([
        { type: "text", text: "Look:" },
        { type: "image_url", image_url: { url: "https://example.org/a.png", detail: "low" } },
        { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" } },
        { type: "input_audio", input_audio: { data: "AA==", format: "wav" } },
      ]),
    ],
  ],
])("%s", async (_, input, messages) => {
  const { ask, upstream } = await start();
  const answer = await ask({ input });
  expect(await answer.json()).toMatchObject({ status: "completed" });
  expect(upstream.requests[0]?.json["messages"]).toEqual(messages);
});

test.each<[Fields, string]>([
  [{ parallel_tool_calls: "x" }, "parallel_tool_calls"],
  [{ max_tool_calls: "x" }, "max_tool_calls"],
  [{ background: true }, "background"],
  [{ conversation: "conv_1" }, "conversation"],
  [{ prompt: { id: "pmpt_1" } }, "prompt"],
  [{ n: 2 }, "n"],
  [{ messages: [] }, "messages"],
  [{ response_format: { type: "text" } }, "response_format"],
  [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
  [{ tools: [{ type: "file_search" }] }, "tools[0].type"],
  [{ tools: [{ type: "computer_use_preview" }] }, "tools[0].type"],
  [{ tools: [{ type: "mcp", server_label: "x" }] }, "tools[0].type"],
  [{ tools: [{ type: "function", name: "" }] }, "tools[0].name"],
  [{ tools: [{ type: "function", function: { name: "x" } }] }, "tools[0].name"],
  [{ tool_choice: "required" }, "tool_choice"],
  [{ tools: [{ type: "function", name: "x" }], tool_choice: { type: "file_search" } }, "tool_choice.type"],
  [{ text: { format: { type: "json_schema", schema: {} } } }, "text.format.name"],
  [{ text: { format: { type: "xml" } } }, "text.format.type"],
  [{ text: { verbosity: "loud" } }, "text.verbosity"],
  [{ reasoning: { effort: "huge" } }, "reasoning.effort"],
  [{ reasoning: { summary: "long" } }, "reasoning.summary"],
  [{ max_output_tokens: 0 }, "max_output_tokens"],
  [{ temperature: 3 }, "temperature"],
  [{ include: ["all"] }, "include[0]"],
  [{ stream_options: { include_obfuscation: false } }, "stream_options"],
  [{ metadata: { a: 1 } }, "metadata"],
  [{ truncation: "middle" }, "truncation"],
  [{ previous_response_id: "resp_1" }, "previous_response_id"],
  [{ input: [{ role: "user", content: [{ type: "input_image", file_id: "file_1" }] }] }, "input[0].content[0].file_id"],
  [{ input: [{ role: "user", content: [{ type: "input_file", file_url: "https://x" }] }] }, "input[0].content[0].file_url"],
  [{ input: [{ role: "user", content: [{ type: "input_video" }] }] }, "input[0].content[0].type"],
  [{ input: [{ role: "wizard", content: "x" }] }, "input[0].role"],
  [{ input: [user("x"), call("1")] }, "input"],
  [{ input: [user("x"), output("1")] }, "input[1].call_id"],
  [{ input: [user("x"), { ...call("1"), name: undefined }, output("1")] }, "input[1].name"],
])("%j is refused by name", async (fields, param) => {
  const { ask, upstream } = await start();
  const answer = await ask(fields);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { param, type: "invalid_request_error" } });
  expect(upstream.requests).toEqual([]);
});

test("tools of OpenAI's own are left out where the client asks for that", async () => {
  const { ask, upstream } = await start();
  const tools = [{ type: "web_search" }, { type: "function", name: "add" }];
  const answer = await ask({ tools }, { "x-chorale-hosted-tools": "drop" });
  expect(answer.headers.get("x-chorale-warnings")).toContain("'web_search' left out");
  expect(upstream.requests[0]?.json["tools"]).toEqual([{ type: "function", function: { name: "add" } }]);
});

test("what only a response says does not reach the upstream, and comes back", async () => {
  const { ask, upstream } = await start();
  const fields = {
    store: false,
    metadata: { a: "b" },
    truncation: "disabled",
    max_tool_calls: 3,
    user: "ada",
    reasoning: { summary: "auto" },
  };
  const response = (await (await ask({ ...fields, include: [], parallel_tool_calls: false, tool_choice: "auto" })).json()) as Fields;
  expect(upstream.requests[0]?.json).toEqual({ model: "a", messages: [user("What is 2+2?")], user: "ada" });
  expect(response).toMatchObject({
    ...fields,
    reasoning: { effort: null, summary: "auto" },
    parallel_tool_calls: false,
    tool_choice: "auto",
  });
});

test("what agents say about themselves goes nowhere", async () => {
  const { ask, upstream } = await start();
  const answer = await ask({ access_programs: ["x"], client_metadata: { session: "1" } });
  expect(answer.status).toBe(200);
  expect(upstream.requests[0]?.json).toEqual({ model: "a", messages: [user("What is 2+2?")] });
});

test("fields that this API does not know are forwarded", async () => {
  const { ask, upstream } = await start();
  await ask({ top_k: 5, chat_template_kwargs: { enable_thinking: false } });
  expect(upstream.requests[0]?.json).toMatchObject({ top_k: 5, chat_template_kwargs: { enable_thinking: false } });
});

test("a key that stands twice is refused", async () => {
  const { send } = await start();
  const answer = await send("POST", "/responses", '{"model":"up/a","input":"a","input":"b"}');
  expect(await answer.json()).toMatchObject({ error: { param: "input" } });
});

test("an agent like Codex runs its loop with no state in the gateway", async () => {
  const { ask, upstream } = await startResponses({
    a: [calls({ id: "call_1", name: "shell", arguments: '{"command":["ls"]}' }), says("Done.", { reasoning: ["ok"] })],
  });
  const asked = {
    instructions: "You are a coding agent.",
    tools: [
      { type: "function", name: "shell", description: "Runs a command.", strict: false, parameters: { type: "object", properties: {} } },
      {
        type: "custom",
        name: "apply_patch",
        description: "Edits files.",
        format: { type: "grammar", syntax: "lark", definition: "start: x" },
      },
    ],
    tool_choice: "auto",
    parallel_tool_calls: false,
    reasoning: { effort: "medium", summary: "auto" },
    store: false,
    stream: true,
    include: ["reasoning.encrypted_content"],
    prompt_cache_key: "0198",
  };
  const input: unknown[] = [
    { type: "message", role: "developer", content: [{ type: "input_text", text: "<permissions>" }] },
    { type: "message", role: "user", content: [{ type: "input_text", text: "List the files." }] },
  ];
  const first = responseEvents(await (await ask({ ...asked, input })).text());
  expect(wrongEvents(first)).toEqual([]);
  const items = first.filter(({ type }) => type === "response.output_item.done").map(({ item }) => item as Fields);
  input.push(...items, { type: "function_call_output", call_id: "call_1", output: "a.txt" });
  const second = responseEvents(await (await ask({ ...asked, input })).text());
  expect(wrongEvents(second)).toEqual([]);
  expect(second.at(-1)?.["response"]).toMatchObject({
    status: "completed",
    store: false,
    output: [{ type: "reasoning" }, { type: "message" }],
  });
  expect((upstream.requests[1]!.json["messages"] as Fields[]).map(({ role }) => role)).toEqual([
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
  ]);
});

describe("the document", () => {
  const document = readFileSync(new URL("../../../docs/responses.md", import.meta.url), "utf8");

  test("says what becomes of every field", () => {
    const rows = [...document.matchAll(/^\| ((?:`[\w]+`(?:, )?)+) +\| (\w+)/gm)];
    const told = rows.flatMap(([, names = "", decision = ""]) => names.split(", ").map((name) => [name.replaceAll("`", ""), decision]));
    expect(Object.fromEntries(told)).toEqual(decisions);
  });
});

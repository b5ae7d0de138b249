import { describe, expect, test } from "vitest";
import type { ChatBody } from "../../../src/model/request.ts";
import { writeRequest } from "../../../src/providers/bedrock/request.ts";
import { newRequest } from "../../support/call.ts";

const SONNET = "anthropic.claude-sonnet-4-5-v1:0";
const OPUS = "anthropic.claude-opus-4-6-v1";
const OLD = "anthropic.claude-3-5-sonnet-20241022-v2:0";
const NOVA = "us.amazon.nova-2-lite-v1:0";
const LLAMA = "meta.llama3-70b-instruct-v1:0";

interface Body {
  readonly system?: unknown;
  readonly messages: readonly { readonly role: string; readonly content: readonly Readonly<Record<string, unknown>>[] }[];
  readonly inferenceConfig?: unknown;
  readonly outputConfig?: unknown;
  readonly additionalModelRequestFields?: unknown;
}

function write(fields: Partial<ChatBody>, model = SONNET): { readonly body: Body; readonly warnings: readonly string[] } {
  const { bytes, warnings } = writeRequest(newRequest(fields), { model, upstream: "bed/a" });
  return { body: JSON.parse(bytes.toString()) as Body, warnings };
}

const user = (content: unknown) => ({ role: "user", content });
const assistant = (content: unknown, more: object = {}) => ({ role: "assistant", content, ...more });
const system = (content: string) => ({ role: "system", content });
const messagesOf = (...messages: readonly object[]) => write({ messages } as unknown as Partial<ChatBody>).body.messages;

describe("who speaks", () => {
  test("is the user first: a conversation that the assistant begins is given an opening", () => {
    const { body } = write({ messages: [system("Be short."), assistant("Hi."), user("x")] });
    expect(body).toMatchObject({
      system: [{ text: "Be short." }],
      messages: [
        { role: "user", content: [{ text: "." }] },
        { role: "assistant", content: [{ text: "Hi." }] },
        { role: "user", content: [{ text: "x" }] },
      ],
    });
    expect(messagesOf(assistant("Hi."))).toEqual([
      { role: "user", content: [{ text: "." }] },
      { role: "assistant", content: [{ text: "Hi." }] },
    ]);
  });

  test.for<readonly [unknown, string]>([
    [" \n", " \n"],
    ["", ""],
    [[{ type: "text", text: " " }], " "],
  ])("stays the user last who says no more than %j, so that nobody's own words are gone on with", ([content, text]) => {
    expect(messagesOf(user("x"), assistant("y"), user(content))).toEqual([
      { role: "user", content: [{ text: "x" }] },
      { role: "assistant", content: [{ text: "y" }] },
      { role: "user", content: [{ text }] },
    ]);
    expect(write({ messages: [system("Be short."), user(content)] }).body).toEqual({
      system: [{ text: "Be short." }],
      messages: [{ role: "user", content: [{ text }] }],
    });
  });

  test("is not the user again for white space beside words", () => {
    expect(messagesOf(user("x"), user(" "))).toEqual([{ role: "user", content: [{ text: "x" }] }]);
    expect(messagesOf(user("x"), assistant("y"), user(" "), user("z")).at(-1)).toEqual({ role: "user", content: [{ text: "z" }] });
  });
});

describe("a document", () => {
  const pdf = (filename: string) => ({ type: "file", file: { filename, file_data: "data:application/pdf;base64,JVBE" } });
  const block = (name: string) => ({ document: { format: "pdf", name, source: { bytes: "JVBE" } } });

  test("that stands alone has its name told beside it", () => {
    expect(messagesOf(user([pdf("a.pdf"), pdf("a.pdf")]))[0]?.content).toEqual([
      { text: "Attached: a, a (2)" },
      block("a"),
      block("a (2)"),
    ]);
    expect(messagesOf(user([pdf("a.pdf"), { type: "text", text: " " }]))[0]?.content).toEqual([{ text: "Attached: a" }, block("a")]);
  });

  test("comes behind results of tools, with its name", () => {
    const calls = [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }];
    const told = messagesOf(
      user("x"),
      assistant(null, { tool_calls: calls }),
      { role: "tool", tool_call_id: "c1", content: "ok" },
      user([pdf("a.pdf")]),
    );
    expect(told[2]?.content).toEqual([{ toolResult: { toolUseId: "c1", content: [{ text: "ok" }] } }, { text: "Attached: a" }, block("a")]);
  });

  test("needs nothing where something is said of it", () => {
    expect(messagesOf(user([pdf("a.pdf"), { type: "text", text: "Read it." }]))[0]?.content).toEqual([block("a"), { text: "Read it." }]);
    expect(messagesOf(user([pdf("a.pdf")]), user("Read it."))[0]?.content).toEqual([block("a"), { text: "Read it." }]);
  });
});

describe("a setting", () => {
  test.for<readonly [string, Partial<ChatBody>, object | undefined, readonly string[]]>([
    [SONNET, { temperature: 1.7 }, { temperature: 1 }, ["takes temperatures up to 1; this one was lowered"]],
    [LLAMA, { temperature: 1.7 }, { temperature: 1 }, ["takes temperatures up to 1; this one was lowered"]],
    [SONNET, { temperature: 1 }, { temperature: 1 }, []],
    [SONNET, { temperature: 0.7, top_p: 1 }, { temperature: 0.7 }, []],
    [LLAMA, { temperature: 0.7, top_p: 1 }, { temperature: 0.7, topP: 1 }, []],
    [SONNET, { top_p: 0.9 }, { topP: 0.9 }, []],
    ["anthropic.claude-opus-4-8-v1", { temperature: 1, top_p: 1 }, undefined, []],
    ["anthropic.claude-opus-4-8-v1", { temperature: 1.7 }, undefined, ['does not take "temperature" here; it was left out']],
    [SONNET, { stop: ["", " "] }, undefined, ['does not stop at white space; it was left out of "stop"']],
    [SONNET, { stop: ["", "x", "\n"] }, { stopSequences: ["x"] }, ['does not stop at white space; it was left out of "stop"']],
    [SONNET, { stop: "" }, undefined, []],
    [LLAMA, { stop: ["", "\n"] }, { stopSequences: ["\n"] }, []],
  ])("of %s goes no further than it is taken: %j", ([model, fields, config, warned]) => {
    const { body, warnings } = write(fields, model);
    expect([body.inferenceConfig, warnings]).toEqual([config, warned]);
  });
});

describe("Anthropic's own word for thinking", () => {
  const adaptive = { type: "adaptive", display: "summarized" };
  const enabled = { type: "enabled", budget_tokens: 2000 };
  const disabled = { type: "disabled" };
  const weather = { type: "function", function: { name: "weather" } };
  const left = 'does not take "thinking"; it was left out';

  test.for<readonly [string, Partial<ChatBody>, object | undefined, readonly string[]]>([
    [OPUS, { thinking: adaptive }, adaptive, []],
    [OPUS, { thinking: enabled }, enabled, []],
    [OPUS, { thinking: disabled }, disabled, []],
    [SONNET, { thinking: enabled, max_tokens: 4000 }, enabled, []],
    [SONNET, { thinking: disabled }, disabled, []],
    [SONNET, { thinking: adaptive, max_tokens: 4000 }, { type: "enabled", budget_tokens: 3999 }, []],
    [SONNET, { thinking: adaptive, max_tokens: 900 }, undefined, [left]],
    [OLD, { thinking: adaptive }, undefined, [left]],
    [NOVA, { thinking: adaptive }, undefined, [left]],
    [OPUS, { thinking: adaptive, tools: [weather], tool_choice: "required" }, undefined, [left]],
    [OPUS, { thinking: adaptive, messages: [user("x"), assistant("y")] }, undefined, [left]],
    [OPUS, { thinking: disabled, tools: [weather], tool_choice: "required" }, disabled, []],
    [OPUS, { thinking: "yes" }, undefined, [left]],
    [OPUS, { thinking: null }, undefined, []],
  ])("goes to %s as far as it is taken: %j", ([model, fields, thinking, warned]) => {
    const { body, warnings } = write(fields, model);
    expect([body.additionalModelRequestFields, warnings]).toEqual([thinking && { thinking }, warned]);
  });

  test("goes before an effort, which stands beside it", () => {
    const { body } = write({ thinking: disabled, reasoning_effort: "low" }, OPUS);
    expect([body.additionalModelRequestFields, body.outputConfig]).toEqual([{ thinking: disabled }, { effort: "low" }]);
  });

  test("leaves the effort to a model that has no such word", () => {
    const { body, warnings } = write({ thinking: adaptive, reasoning_effort: "low" }, NOVA);
    expect(body.additionalModelRequestFields).toEqual({ reasoningConfig: { type: "enabled", maxReasoningEffort: "low" } });
    expect(warnings).toEqual([left]);
  });

  test("leaves no room for settings that thinking refuses", () => {
    const { body, warnings } = write({ thinking: adaptive, temperature: 0.5, top_k: 5 }, OPUS);
    expect([body.inferenceConfig, body.additionalModelRequestFields]).toEqual([undefined, { thinking: adaptive }]);
    expect(warnings).toEqual(['does not take "temperature" here; it was left out', 'does not take "top_k" here; it was left out']);
  });
});

describe("ids of calls", () => {
  const idsOf = (messages: Body["messages"], kind: "toolUse" | "toolResult") =>
    messages.flatMap(({ content }) => content.flatMap((block) => (block[kind] as { toolUseId: string } | undefined)?.toolUseId ?? []));

  test("that come again in a later turn are told apart, each with its result", () => {
    const made = (args: string) =>
      assistant(null, { tool_calls: [{ id: "call_0", type: "function", function: { name: "f", arguments: args } }] });
    const result = { role: "tool", tool_call_id: "call_0", content: "ok" };
    const told = messagesOf(user("x"), made("{}"), result, made("{}"), result, made("{}"), result);
    expect(idsOf(told, "toolUse")).toEqual(["call_0", "call_0_2", "call_0_3"]);
    expect(idsOf(told, "toolResult")).toEqual(["call_0", "call_0_2", "call_0_3"]);
  });

  test("of the deprecated form are told apart too", () => {
    const made = assistant(null, { function_call: { name: "f", arguments: "{}" } });
    const result = { role: "function", name: "f", content: "ok" };
    const told = messagesOf(user("x"), made, result, made, result);
    expect(idsOf(told, "toolUse")).toEqual(["function_f", "function_f_2"]);
    expect(idsOf(told, "toolResult")).toEqual(["function_f", "function_f_2"]);
  });
});

import { describe, expect, test } from "vitest";
import type { AssistantMessage, Completion } from "../../src/model/completion.ts";
import type { ChatBody } from "../../src/model/request.ts";
import { namesKey, shownUses, toolboxOf, useKey, usesKey, usesOf } from "../../src/panel/tools/calls.ts";
import { newRequest } from "../support/call.ts";

const call = (text: string, name = "f") => ({ name, custom: false, text });

function answer(message: Partial<AssistantMessage>, finishReason: "stop" | "tool_calls" | "content_filter" = "tool_calls"): Completion {
  return { choices: [{ index: 0, message: { role: "assistant", content: null, ...message }, finishReason }] };
}

function calling(...calls: readonly (readonly [name: string, text: string])[]): Completion {
  const toolCalls = calls.map(
    ([name, text], nth) => ({ id: `call_${nth}`, type: "function", function: { name, arguments: text } }) as const,
  );
  return answer({ tool_calls: toolCalls });
}

describe("calls are the same", () => {
  test.each([
    ["whatever the order of keys", '{"a":1,"b":{"c":2,"d":3}}', '{ "b": {"d": 3, "c": 2}, "a": 1 }'],
    ["whatever the form of a number", '{"a":1,"b":100,"c":0.5}', '{"a":1.0,"b":1e2,"c":5E-1}'],
    ["whatever the escapes of a text", '{"a":"é"}', String.raw`{"a":"\u00e9"}`],
    ["without arguments, however that is written", "", "{}"],
  ])("%s", (_, one, other) => {
    expect(useKey(call(one))).toBe(useKey(call(other)));
  });
});

describe("calls differ", () => {
  test.each([
    ["by the last of many digits", '{"id":9007199254740993}', '{"id":9007199254740992}'],
    ["by the order of a list", '{"a":[1,2]}', '{"a":[2,1]}'],
    ["by a text that looks like a number", '{"a":"1"}', '{"a":1}'],
    ["by null and absent", '{"a":null}', "{}"],
    ["by white space in a text", '{"a":"x y"}', '{"a":"xy"}'],
    ["by __proto__", '{"__proto__":{"a":1}}', "{}"],
  ])("%s", (_, one, other) => {
    expect(useKey(call(one))).not.toBe(useKey(call(other)));
  });

  test("by name, and by being custom", () => {
    expect(useKey(call("{}", "f"))).not.toBe(useKey(call("{}", "g")));
    expect(useKey(call("{}"))).not.toBe(useKey({ name: "f", custom: true, text: "{}" }));
    expect(useKey({ name: "f", custom: true, text: '{"a":1}' })).not.toBe(useKey({ name: "f", custom: true, text: '{"a": 1}' }));
  });

  test("by how often each is made, not by the order of parallel ones", () => {
    const [one, two] = [call('{"a":1}'), call('{"a":2}', "g")];
    expect([namesKey([one, two]), usesKey([one, two])]).toEqual([namesKey([two, one]), usesKey([two, one])]);
    expect(usesKey([one, one])).not.toBe(usesKey([one]));
    expect(namesKey([one, one])).not.toBe(namesKey([one]));
  });
});

describe("usesOf", () => {
  test("reads functions, custom tools and the legacy field", () => {
    const custom = { id: "c", type: "custom", custom: { name: "sql", input: "select 1" } } as const;
    expect(usesOf(answer({ tool_calls: [custom] }))).toEqual([{ name: "sql", custom: true, text: "select 1" }]);
    expect(usesOf(calling(["f", '{"a":1}']))).toEqual([call('{"a":1}')]);
    expect(usesOf(answer({ function_call: { name: "f", arguments: "{}" } }))).toEqual([call("{}")]);
    expect(usesOf(answer({ content: "Hello" }))).toEqual([]);
  });

  test("is shown as a person writes it", () => {
    expect(shownUses([call('{"a":1}'), { name: "sql", custom: true, text: 'select "a"' }, call("")])).toBe(
      String.raw`f({"a":1})` + "\n" + String.raw`sql("select \"a\"")` + "\nf({})",
    );
  });
});

const parameters = { type: "object", properties: { a: { type: "number" } }, required: ["a"] };
const tools = [
  { type: "function", function: { name: "f", parameters } },
  { type: "function", function: { name: "g" } },
  { type: "custom", custom: { name: "sql" } },
];
const f = calling(["f", '{"a":1}']);
const g = calling(["g", "{}"]);
const both = calling(["f", '{"a":1}'], ["g", "{}"]);
const text = answer({ content: "Four." }, "stop");
const customOf = (name: string) => answer({ tool_calls: [{ id: "c", type: "custom", custom: { name, input: "x" } }] });

describe("an answer counts", () => {
  const why = (body: Partial<ChatBody>, completion: Completion) =>
    toolboxOf(newRequest({ tools, ...body }), "unusable").unusable(completion);

  test.each<readonly [string, Partial<ChatBody>, Completion, string | undefined]>([
    ["a call", {}, f, undefined],
    ["two calls", {}, both, undefined],
    ["a text", {}, text, undefined],
    ["a tool that is not offered", {}, calling(["h", "{}"]), "it calls a tool that is not offered"],
    ["a custom tool called as a function", {}, calling(["sql", "{}"]), "it calls a tool that is not offered"],
    ["nothing at all", {}, answer({ content: "" }, "stop"), "it is empty"],
    ["a refusal", {}, answer({ refusal: "No." }, "stop"), "it is a refusal"],
    [
      "a call that a filter has cut",
      {},
      { choices: f.choices.map((choice) => ({ ...choice, finishReason: "content_filter" })) },
      "it is a refusal",
    ],
    ["required, and it calls", { tool_choice: "required" }, g, undefined],
    ["required, and it talks", { tool_choice: "required" }, text, "it calls no tool"],
    ["named, and it calls that", { tool_choice: { type: "function", function: { name: "f" } } }, f, undefined],
    [
      "named, and it calls another",
      { tool_choice: { type: "function", function: { name: "f" } } },
      g,
      "it calls a tool that this turn does not allow",
    ],
    ["named, and it talks", { tool_choice: { type: "custom", custom: { name: "sql" } } }, text, "it calls no tool"],
    [
      "not among those allowed",
      { tool_choice: { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [{ type: "function", function: { name: "g" } }] } } },
      f,
      "it calls a tool that this turn does not allow",
    ],
    ["one at a time, and it calls two", { parallel_tool_calls: false }, both, "it calls several tools at once"],
    [
      "a text that misses the schema",
      { response_format: { type: "json_object" } },
      text,
      "it does not satisfy the schema (it is not JSON)",
    ],
    ["a function called as the custom tool of its name", {}, customOf("f"), "it calls a tool that is not offered"],
    ["a custom tool of a function's name", { tools: [...tools, { type: "custom", custom: { name: "f" } }] }, customOf("f"), undefined],
    ["a call under a schema for texts", { response_format: { type: "json_object" } }, f, undefined],
    [
      "a legacy function",
      { tools: null, functions: [{ name: "f" }] },
      answer({ function_call: { name: "f", arguments: "{}" } }),
      undefined,
    ],
    [
      "a legacy function by name, and it talks",
      { tools: null, functions: [{ name: "f" }], function_call: { name: "f" } },
      text,
      "it calls no tool",
    ],
  ])("%s", (_, body, completion, expected) => {
    expect(why(body, completion)).toBe(expected);
  });

  test("with its refusal where refusals are answers", () => {
    expect(toolboxOf(newRequest({ tools }), "usable").unusable(answer({ refusal: "No." }, "stop"))).toBeUndefined();
  });
});

describe("arguments are wrong", () => {
  const fault = (completion: Completion, own: readonly unknown[] = tools) =>
    toolboxOf(newRequest({ tools: own }), "unusable").fault(usesOf(completion));

  test("when they are no JSON object, or miss the tool's schema", () => {
    expect(fault(f)).toBeUndefined();
    expect(fault(calling(["f", '{"a":1'])), "cut").toBe("its arguments can not be used (f: they are no JSON object)");
    expect(fault(calling(["g", "[1]"]))).toBe("its arguments can not be used (g: they are no JSON object)");
    expect(fault(calling(["f", '{"a":"one"}']))).toContain("f: #/a");
    expect(fault(calling(["f", ""]))).toContain("f: #");
    expect(fault(both)).toBeUndefined();
  });

  test("not by a schema that nobody can use, nor without one", () => {
    expect(fault(calling(["g", '{"anything":[]}']))).toBeUndefined();
    expect(fault(f, [{ type: "function", function: { name: "f", parameters: { $ref: "#/nowhere" } } }])).toBeUndefined();
  });
});

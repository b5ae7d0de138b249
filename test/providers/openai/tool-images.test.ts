import { expect, test } from "vitest";
import type { Message } from "../../../src/model/request.ts";
import { dialects, type DialectName } from "../../../src/providers/openai/dialects.ts";
import { requestWriter } from "../../../src/providers/openai/request.ts";
import { newRequest } from "../../support/call.ts";

const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
const text = { type: "text", text: "See:" };
const call = (id: string) => ({ id, type: "function", function: { name: "look", arguments: "{}" } });
const result = (id: string, content: unknown): Message => ({ role: "tool", tool_call_id: id, content });
const user: Message = { role: "user", content: "Look" };
const asks: Message = { role: "assistant", content: null, tool_calls: [call("call_1"), call("call_2"), call("call_3")] };

function written(dialect: DialectName, messages: readonly Message[]): readonly Message[] {
  const { bytes } = requestWriter(dialects[dialect], (model) => `up/${model}`).write(newRequest({ messages }), "m", "unary");
  return (JSON.parse(bytes.toString("utf8")) as { readonly messages: readonly Message[] }).messages;
}

test.each<DialectName>(["openai", "azure", "azure-deployments", "groq"])(
  "%s gets images of results from the user, behind the results",
  (dialect) => {
    const results = [result("call_1", [text, image]), result("call_2", "4"), result("call_3", [image])];
    expect(written(dialect, [user, asks, ...results, user])).toEqual([
      user,
      asks,
      result("call_1", [text]),
      result("call_2", "4"),
      result("call_3", "The result is in the message of the user below."),
      {
        role: "user",
        content: [{ type: "text", text: "From the result of call_1:" }, image, { type: "text", text: "From the result of call_3:" }, image],
      },
      user,
    ]);
  },
);

test("results of text stay as they are, and servers that take images get them where they were", () => {
  const plain = [user, asks, result("call_1", [text])];
  expect(written("openai", plain)).toEqual(plain);
  const seen = [user, asks, result("call_1", [image])];
  for (const dialect of ["generic", "vllm", "openrouter"] as const) expect(written(dialect, seen)).toEqual(seen);
});

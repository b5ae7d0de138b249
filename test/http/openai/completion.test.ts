import { describe, expect, test } from "vitest";
import { completionPieces } from "../../../src/http/openai/completion.ts";
import type { Completion } from "../../../src/model/completion.ts";

const identity = { id: "chatcmpl-own", model: "smart, or not", created: 7 };

function pieces(head: string): string {
  const bytes = Buffer.from(`{${head}"choices":[{"index":0,"message":{"role":"assistant","content":"\\"id\\": 1"}}]}`);
  const completion: Completion = { choices: [], bytes };
  return completionPieces(completion, { identity, usage: undefined, summed: false, extension: undefined }).join("");
}

describe("the identity of an answer is replaced in its bytes", () => {
  test.each([
    ["in the usual order", '"id":"a","object":"chat.completion","created":1,"model":"x",'],
    ["in another order", '"model":"x","created":1,"id":"a","object":"chat.completion",'],
    ["with white space before values that hold a comma", '"id": "a,b", "object": "chat.completion", "created": 1, "model": "x,y", '],
    ["with a number in place of a text", '"id":5,"created":1,"model":null,'],
    ["where none was told", '"object":"chat.completion",'],
    ["where a part was told", '"id":"a","model":"x",'],
    ["behind something nested", '"meta":{"id":"inner","model":[1]},"id":"a","created":1,"model":"x",'],
  ])("%s", (_, head) => {
    const told = JSON.parse(pieces(head)) as Record<string, unknown>;
    const before = JSON.parse(`{${head}"end":0}`) as Record<string, unknown>;
    expect(told).toMatchObject(identity);
    for (const [key, value] of Object.entries(before)) if (!(key in identity) && key !== "end") expect(told[key]).toEqual(value);
    expect(told["choices"]).toEqual([{ index: 0, message: { role: "assistant", content: '"id": 1' } }]);
  });
});

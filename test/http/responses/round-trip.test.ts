import * as fc from "../../support/properties.ts";
import { expect, test } from "vitest";
import { completionJson, json } from "../../support/upstream.ts";
import { startResponses } from "./answering.ts";

type Fields = Readonly<Record<string, unknown>>;

const call = fc.record({
  name: fc.constantFrom("f", "g"),
  value: fc.dictionary(fc.string(), fc.jsonValue()),
  gap: fc.constantFrom("", " "),
});
const answer = fc.record({
  text: fc.option(fc.string({ unit: "grapheme", minLength: 1 })),
  calls: fc.array(call, { minLength: 1, maxLength: 3 }),
});

test("an answer that a client sends back as it came is the message that was answered, its arguments to the byte", async () => {
  const { ask, upstream } = await startResponses({});
  const tools = [{ type: "function", name: "f" }];
  const question = { type: "message", role: "user", content: "Go." };
  await fc.assert(
    fc.asyncProperty(answer, async ({ text, calls }) => {
      const tool_calls = calls.map(({ name, value, gap }, index) => ({
        id: `call_${index}`,
        type: "function",
        // Digits that no number holds.
        function: { name, arguments: `{"big":${gap}12345678901234567890, "value":${JSON.stringify(value)}${gap}}` },
      }));
      upstream.script({ a: json(200, completionJson(text, { message: { tool_calls }, choice: { finish_reason: "tool_calls" } })) });
      const { output } = (await (await ask({ input: [question], tools })).json()) as { readonly output: readonly Fields[] };
      const outputs = calls.map((_, index) => ({ type: "function_call_output", call_id: `call_${index}`, output: "ok" }));
      expect((await ask({ input: [question, ...output, ...outputs], tools })).status).toBe(200);
      const sent = upstream.requests.at(-1)?.json["messages"] as readonly Fields[];
      const [, message, ...results] = sent;
      expect(message).toMatchObject({ role: "assistant", tool_calls });
      expect(message?.["content"] ?? null).toEqual(text);
      expect(results).toEqual(tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "ok" })));
    }),
    { numRuns: 60 },
  );
});

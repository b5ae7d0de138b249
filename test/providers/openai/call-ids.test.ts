import { describe, expect, test } from "vitest";
import type { Message } from "../../../src/model/request.ts";
import { ownCallIds } from "../../../src/providers/openai/call-ids.ts";
import { dialects, type DialectName } from "../../../src/providers/openai/dialects.ts";
import { newRequest } from "../../support/call.ts";

const turns = (...ids: readonly string[]): readonly Message[] => [
  { role: "user", content: "Hi" },
  {
    role: "assistant",
    content: null,
    tool_calls: ids.map((id) => ({ id, type: "function", function: { name: "f", arguments: '{ "a":1 }' }, more: 1 })),
  },
  ...ids.map((id): Message => ({ role: "tool", tool_call_id: id, content: "4" })),
];
const long = `chatcmpl-tool-${"0".repeat(32)}`;

describe("ids of calls", () => {
  test.each<readonly [DialectName, readonly string[]]>([
    ["openai", ["call_8Qm2wqPbCPPCrQ8wXtgGe5fv", "x".repeat(40)]],
    ["azure", ["toolu_01A09q90qw90lq917835lq9"]],
    ["mistral", ["A1b2C3d4E"]],
  ])("that %s takes stay, bytes and all", (name, ids) => {
    const request = newRequest({ messages: turns(...ids) });
    expect(ownCallIds(request, (dialects[name] as { readonly callIds: RegExp }).callIds)).toBe(request);
  });

  test.each<readonly [DialectName, readonly string[]]>([
    ["openai", [long, `${long}1`, "call_1"]],
    ["mistral", ["call_1", "call_2", "A1b2C3d4E"]],
  ])("that %s refuses are written anew, alike for a call and its result, and apart for others", (name, ids) => {
    const { callIds } = dialects[name] as { readonly callIds: RegExp };
    const request = newRequest({ messages: turns(...ids) });
    const { messages } = ownCallIds(request, callIds).body;
    const made = ((messages[1]?.["tool_calls"] ?? []) as readonly { readonly id: string }[]).map(({ id }) => id);
    for (const id of made) expect(id).toMatch(callIds);
    expect(new Set(made).size).toBe(ids.length);
    expect(made.at(-1), "its own").toBe(ids.at(-1));
    expect(messages).toEqual(turns(...made));
    expect(ownCallIds(newRequest({ messages: turns(...ids) }), callIds).body.messages, "the same each time").toEqual(messages);
  });
});

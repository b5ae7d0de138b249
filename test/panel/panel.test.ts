import { describe, expect, test } from "vitest";
import type { ModelEvent } from "../../src/model/events.ts";
import type { ChatBody } from "../../src/model/request.ts";
import { panel } from "../../src/panel/panel.ts";
import { offersTools, withoutTools } from "../../src/panel/tools/tools.ts";
import type { ToolsRule } from "../../src/panel/tools/turn.ts";
import { newCall, newRequest } from "../support/call.ts";
import { FakeModel, says, textIn } from "../support/fake-model.ts";

const tools = [{ type: "function", function: { name: "f" } }];

async function all(events: AsyncIterable<ModelEvent>): Promise<readonly ModelEvent[]> {
  const seen: ModelEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

async function ask(body: Partial<ChatBody>, options: { readonly refuse?: true; readonly ownText?: boolean } = {}) {
  const inner = new FakeModel("panel", says("by the panel"));
  const owner = new FakeModel("owner", says("by the ", "owner"));
  const rule: ToolsRule = options.refuse ? { policy: "refuse" } : { policy: "owner", owner };
  const call = newCall();
  const events = await all(panel(inner, { tools: rule, ownText: () => options.ownText ?? true }).stream(newRequest(body), call));
  return { inner, owner, events, text: textIn(events), call };
}

describe("offersTools", () => {
  test.each<readonly [Partial<ChatBody>, boolean]>([
    [{}, false],
    [{ tools: [] }, false],
    [{ tools: null }, false],
    [{ tools }, true],
    [{ tools, tool_choice: "none" }, false],
    [{ tools, tool_choice: "required" }, true],
    [{ tools, tool_choice: { type: "function", function: { name: "f" } } }, true],
    [{ functions: [{ name: "f" }] }, true],
    [{ functions: [{ name: "f" }], function_call: "none" }, false],
    [{ messages: [{ role: "tool", tool_call_id: "1", content: "42" }] }, false],
  ])("%j: %s", (body, expected) => {
    expect(offersTools(newRequest(body))).toBe(expected);
  });
});

describe("a panel", () => {
  test("does nothing before it is read", () => {
    const inner = new FakeModel("panel");
    const made = panel(inner, { tools: { policy: "refuse" }, ownText: () => false });
    made.stream(newRequest({ tools, logprobs: true }), newCall());
    expect([made.name, inner.calls.length]).toEqual(["panel", 0]);
  });

  test("streams its owner's turn with tools, with the request as it came", async () => {
    const { inner, owner, text, events } = await ask({ tools, n: 2, logprobs: true }, { ownText: false });
    expect(text).toBe("by the owner");
    expect(inner.calls).toHaveLength(0);
    expect(owner.requests[0]?.edits).toEqual({});
    expect(owner.calls[0]).toMatchObject({ delivery: "stream", span: { label: "owner" } });
    expect(events.filter(({ type }) => type === "batch")).toHaveLength(3);
  });

  test("refuses a turn with tools where the config says so", async () => {
    await expect(ask({ tools }, { refuse: true })).rejects.toMatchObject({ code: "unsupported_parameter", details: { param: "tools" } });
    await expect(ask({ functions: [{ name: "f" }] }, { refuse: true })).rejects.toMatchObject({ details: { param: "functions" } });
    expect((await ask({ tools, tool_choice: "none" }, { refuse: true })).text).toBe("by the panel");
  });

  test("refuses log-probabilities that would be nobody's", async () => {
    for (const body of [{ logprobs: true }, { top_logprobs: 2 }]) {
      await expect(ask(body, { ownText: false })).rejects.toMatchObject({
        code: "unsupported_parameter",
        status: 400,
        details: { param: "logprobs" },
      });
      expect((await ask(body)).text).toBe("by the panel");
    }
    expect((await ask({ logprobs: false, top_logprobs: 0 }, { ownText: false })).text).toBe("by the panel");
  });

  test("runs once for n of 1, and n times for more", async () => {
    expect((await ask({ n: 1 })).inner.calls).toHaveLength(1);
    expect((await ask({ n: null })).inner.calls).toHaveLength(1);
    expect((await ask({ n: 3 })).inner.calls).toHaveLength(3);
  });
});

describe("withoutTools", () => {
  test("removes what concerns tools, and nothing else", () => {
    const { body } = withoutTools(newRequest({ tools, tool_choice: "none", parallel_tool_calls: true, user: "u" }));
    expect(body).toEqual({ model: "smart", messages: expect.any(Array), user: "u" });
    const plain = newRequest();
    expect(withoutTools(plain)).toBe(plain);
  });
});

import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import type { ChatBody } from "../../../src/model/request.ts";
import type { Node } from "../../../src/strategies/define.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { manualClock } from "../../support/clock.ts";
import { FakeModel, type Script, textIn } from "../../support/fake-model.ts";
import { read } from "../../support/read.ts";

/** Says who it is and how often it was asked, so that a kept answer can not pass for a new one. */
function numbered(name: string): FakeModel {
  const scripts = Array.from({ length: 9 }, (_, index): Script => ({ moves: [{ waitMs: 10 }, { text: `${name} ${index + 1}` }] }));
  return new FakeModel(name, ...scripts);
}

function cached(model: Node) {
  const leaves = new Map(["a", "b", "c"].map((name) => [name, numbered(name)]));
  const node = buildNode({ kind: "cache", model }, (name) => leaves.get(name) ?? numbered(name), strategies);
  const clock = manualClock();
  const start = async (fields: Partial<ChatBody>, headers: Readonly<Record<string, string>>) => {
    const call: Call = newCall({ clock, header: (name) => headers[name] });
    const { events } = await read(node.stream(newRequest(fields), call));
    return `${String(call.span.decision?.["cache"])}: ${textIn(events)}`;
  };
  return {
    ask: (fields: Partial<ChatBody> = {}, headers: Readonly<Record<string, string>> = {}) => clock.drive(start(fields, headers)),
    atOnce: (...asked: readonly Readonly<Record<string, string>>[]) => clock.drive(Promise.all(asked.map((headers) => start({}, headers)))),
  };
}

const tiers: Node = { kind: "route", by: "rules", rules: [{ when: { header: { "x-tier": "gold" } }, model: "a" }], else: "b" };
const views: Node = { kind: "pluralism", mode: "steerable", members: ["a"], writer: "c", attribute: "anybody" };

describe("a cache over what is not in the fields", () => {
  test("tells requests apart by the headers that a route below goes by, and by no others", async () => {
    const { ask } = cached(tiers);
    expect(await ask({}, { "x-tier": "gold" })).toBe("miss: a 1");
    expect(await ask()).toBe("miss: b 1");
    expect(await ask({}, { "x-tier": "gold", "x-trace": "7" })).toBe("hit: a 1");
    expect(await ask({}, { "x-trace": "8" })).toBe("hit: b 1");
  });

  test("nor does one wait for the other", async () => {
    expect(await cached(tiers).atOnce({ "x-tier": "gold" }, {}, { "x-tier": "gold" })).toEqual(["miss: a 1", "miss: b 1", "shared: a 1"]);
  });

  test.for<readonly [string, Node]>([
    ["as its model", views],
    ["deeper down", { kind: "fallback", members: [{ kind: "retry", model: views }, "b"] }],
    ["as the owner of turns with tools", { kind: "vote", members: ["b", "b", "b"], tools: { owner: views } }],
    ["among those who vote on tools", { kind: "vote", members: ["b", "b", "b"], tools: { policy: "vote", members: [views, "b"] } }],
  ])("tells requests apart by the key of `metadata` that a steerable node heeds: %s", async ([, model]) => {
    const { ask } = cached(model);
    const hits = async (attribute: string, more: object = {}) => (await ask({ metadata: { attribute, ...more } })).startsWith("hit");
    expect([
      await hits("farmers"),
      await hits("sailors"),
      await hits("farmers", { run: "7" }),
      await hits("sailors", { run: "8" }),
    ]).toEqual([false, false, true, true]);
  });

  test("a key of its own name counts, another does not", async () => {
    const { ask } = cached({ ...views, attributeKey: "view" });
    await ask({ metadata: { view: "farmers", attribute: "x" } });
    expect(await ask({ metadata: { view: "farmers", attribute: "y" } })).toMatch(/^hit/);
    expect(await ask({ metadata: { view: "sailors", attribute: "x" } })).toMatch(/^miss/);
  });

  test("a value does not pass for the same value under another name", async () => {
    const { ask } = cached({
      kind: "route",
      by: "rules",
      rules: [{ when: { header: { "x-one": "1", "x-two": "1" } }, model: "a" }],
      else: "b",
    });
    await ask({}, { "x-one": "1" });
    expect(await ask({}, { "x-two": "1" })).toMatch(/^miss/);
  });

  test("is no cache for all keys where a route below goes by the key", () => {
    const byKey = { kind: "route", by: "rules", rules: [{ when: { key: "team-a" }, model: "a" }], else: "b" };
    const build = (share: boolean) => buildNode({ kind: "cache", share, model: { kind: "retry", model: byKey } }, numbered, strategies);
    expect(() => build(true)).toThrow("mixes the answers of all keys");
    expect(() => build(false)).not.toThrow();
  });
});

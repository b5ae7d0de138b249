import { describe, expect, test } from "vitest";
import { identityOf } from "../../src/catalog/identity.ts";
import type { Node } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";

const models: Readonly<Record<string, Node>> = {
  small: "demo/alto",
  exam: { kind: "vote", members: ["small", "demo/bass"] },
  other: { kind: "vote", members: ["demo/tenor", "demo/bass"] },
  outer: { kind: "fallback", members: ["exam", "demo/bass"] },
  // Also a word among the options of its own node.
  choice: { kind: "vote", members: ["small", "demo/bass"], answer: "choice" },
};
const identity = (node: Node, more: Readonly<Record<string, Node>> = {}) =>
  identityOf(node, { models: { ...models, ...more }, strategies });

describe("what a node comes to", () => {
  test("is an upstream model's name, also behind aliases, else the kind and a hash", () => {
    expect([identity("demo/alto"), identity("small")]).toEqual(["demo/alto", "demo/alto"]);
    expect(identity("exam")).toMatch(/^vote:[0-9a-f]{12}$/);
    expect(identity("choice")).toMatch(/^vote:[0-9a-f]{12}$/);
  });

  test("is the same wherever and however the same is written", () => {
    const inline: Node = { members: ["demo/alto", { kind: "retry", model: "demo/bass" }], kind: "vote" };
    const spelt: Node = { kind: "vote", stop: "unassailable", members: ["small", { kind: "retry", model: "demo/bass", attempts: 2 }] };
    expect(identity(inline)).toBe(identity(spelt));
    expect(identity(models["exam"]!)).toBe(identity("exam"));
  });

  test.each<[string, Node, Readonly<Record<string, Node>>?]>([
    ["other members", "other"],
    ["another order of them", { kind: "vote", members: ["demo/bass", "small"] }],
    ["another option", { kind: "vote", members: ["small", "demo/bass"], stop: "none" }],
    ["a budget", { kind: "vote", members: ["small", "demo/bass"], budget: { calls: 1 } }],
    ["another prompt", { kind: "vote", members: ["small", "demo/bass"], prompts: { repair: "mine.md" } }],
    ["another kind", { kind: "fallback", members: ["small", "demo/bass"] }],
    ["an alias that leads elsewhere now", "exam", { small: "demo/tenor" }],
  ])("changes with %s", (_, node, more) => {
    expect(identity(node, more)).not.toBe(identity("exam"));
  });

  test("changes with what stands further below", () => {
    expect(identity("outer", { exam: models["other"]! })).not.toBe(identity("outer"));
  });
});

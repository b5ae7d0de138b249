import { describe, expect, onTestFinished, test } from "vitest";
import { capabilitiesOf } from "../../src/catalog/capabilities.ts";
import { Incapable } from "../../src/catalog/incapable.ts";
import { change, ownRequest } from "../../src/model/request.ts";
import type { Capabilities } from "../../src/providers/define.ts";
import { startPair } from "../support/gateway.ts";

const asking = (content: string) => ownRequest({ model: "m", messages: [{ role: "user", content }] });

describe("the length of a prompt", () => {
  const codeOf = (content: string, contextLength: number) => new Incapable("up/m", { contextLength }).why(asking(content))?.code;

  test.each<readonly [string, string, number, boolean]>([
    ["as many letters as may be tokens", "abcdef".repeat(100), 100, false],
    ["one letter more", `${"abcdef".repeat(100)}g`, 100, true],
    ["letters of three bytes", "語文".repeat(101), 100, true],
    ["letters of four bytes", "😀😁".repeat(76), 100, true],
    ["letters of two bytes", "éè".repeat(149), 100, false],
    ["a row of one letter", "a".repeat(10_000_000), 100, false],
    ["rows of spaces, as in code", `${" ".repeat(80)}x = 1\n`.repeat(80), 100, false],
    ["a lone half of a pair", "\ud800x".repeat(201), 100, true],
  ])("%s", (_, content, contextLength, isTooLong) => {
    expect(codeOf(content, contextLength)).toBe(isTooLong ? "context_length_exceeded" : undefined);
  });

  test("counts what was put before the client's messages", () => {
    const limits = new Incapable("up/m", { contextLength: 100 });
    const request = asking("hi");
    const messages = [{ role: "system", content: [{ type: "text", text: "words and words ".repeat(50) }] }, ...request.body.messages];
    expect(limits.why(request)).toBe(undefined);
    expect(limits.why(change(request, { messages }))?.code).toBe("context_length_exceeded");
  });
});

test("a part that stands elsewhere than the client put it is told without its place", () => {
  const limits = new Incapable("up/m", { images: false });
  const seen = {
    role: "user",
    content: [
      { type: "text", text: "?" },
      { type: "image_url", image_url: { url: "data:," } },
    ],
  };
  const request = ownRequest({ model: "m", messages: [seen] });
  expect(limits.why(request)?.details.param).toBe("messages[0].content[1]");
  expect(limits.why(change(request, { messages: [{ role: "system", content: "Look." }, seen] }))?.details.param).toBe("messages");
});

test("a short request to a model that lacks nothing is not looked at", () => {
  const { source, edits } = asking("hi");
  const unread = {
    source,
    edits,
    get body(): never {
      throw new Error("looked at");
    },
  };
  expect(new Incapable("up/m", { contextLength: 100 }).why(unread)).toBe(undefined);
  expect(() => new Incapable("up/m", { tools: false }).why(unread)).toThrow("looked at");
});

test("what a server tells is replaced by what it tells later, and what was declared stays", () => {
  const can: Capabilities = { tools: true };
  const limits = new Incapable("up/m", can);
  limits.learn({ tools: false, images: false, contextLength: 7 });
  expect(can).toEqual({ tools: true, images: false, contextLength: 7 });
  limits.learn({ audio: false });
  expect(can).toEqual({ tools: true, audio: false });
});

describe("what is known of a model at boot", () => {
  const known = (model: string, own: Readonly<Record<string, Capabilities>> = {}) =>
    capabilitiesOf(model, { own, instance: { pricedAs: "openai", capabilities: () => ({ schema: true, logprobs: true }) } });

  test.each<readonly [string, Capabilities]>([
    ["gpt-5-mini", { logprobs: false, images: true, audio: false, contextLength: 400_000 }],
    ["gpt-5.4", { logprobs: true, images: true }],
    ["gpt-4o-2024-08-06", { images: true, contextLength: 128_000 }],
    ["gpt-4o-audio-preview", { audio: true, images: false }],
    ["gpt-4-0613", { images: false, schema: false, contextLength: 8192 }],
    ["gpt-4.1", { contextLength: 1_047_576 }],
  ])("%s stands in the table", (model, can) => {
    expect(known(model)).toMatchObject(can);
  });

  test.each(["gpt-4-turbo", "gpt-5-chat-latest", "gpt-4o-something", "o1-preview", "mine"])("%s does not", (model) => {
    expect(known(model)).toEqual({ schema: true, logprobs: true });
  });

  test("the config wins, and what it says of one model wins over what it says of all", () => {
    const own = { "*": { tools: false, contextLength: 5 }, "gpt-5": { logprobs: true, contextLength: 9 } };
    expect(known("gpt-5", own)).toMatchObject({ tools: false, logprobs: true, contextLength: 9, images: true });
    expect(known("toString", own)).toEqual({ schema: true, logprobs: true, tools: false, contextLength: 5 });
  });
});

describe("a strategy that measures log-probabilities of a model that has none fails at boot", () => {
  const boot = (smart: unknown) => {
    const capabilities = { mute: { logprobs: false } };
    return startPair({}, { onFinished: onTestFinished, provider: { capabilities }, config: { models: { alias: "up/mute", smart } } });
  };
  const gate = (model: unknown, by = "logprob") => ({ kind: "cascade", steps: [{ model, accept: { by, min: -1 } }, { model: "up/a" }] });
  const vote = { kind: "reconcile", members: ["up/a", "up/b"] };

  test.each<readonly [string, unknown, string]>([
    ["a gate", gate("up/mute"), "models.smart.steps[0].accept: logprob measures log-probabilities: up/mute does not take logprobs."],
    ["a gate over an alias", gate({ kind: "retry", model: "alias" }, "prefixLogprob"), "models.smart.steps[0].accept: prefixLogprob"],
    ["a gate over members", gate({ kind: "fallback", members: ["alias", "up/mute"] }), "models.smart.steps[0].accept: logprob measures"],
    ["a gate over a text that is nobody's", gate(vote), "models.smart.steps[0].accept: logprob measures log-probabilities: This model's"],
    ["an abstention", { kind: "abstain", model: "alias", by: "logprob", min: -1 }, "models.smart.model: logprob measures"],
  ])("%s", async (_, smart, message) => {
    await expect(boot(smart)).rejects.toThrow(message);
  });

  test("but not where one of several may have them", async () => {
    const { gateway } = await boot(gate({ kind: "fallback", members: ["up/mute", "up/a"] }));
    expect((await gateway.get("/v1/models/smart")).status).toBe(200);
  });
});

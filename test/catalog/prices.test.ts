import { expect, test } from "vitest";
import { costOf, loadPriceList, priceOf } from "../../src/catalog/prices.ts";

const list = await loadPriceList();

test("the public list knows prices per million tokens, the base where there are tiers", () => {
  expect(list("openai", "gpt-5-mini")).toEqual({ in: 0.25, out: 2, cachedIn: 0.025 });
  expect(list("openrouter", "openai/gpt-5-mini")).toEqual({ in: 0.25, out: 2, cachedIn: 0.025 });
  expect(list("google", "gemini-2.5-pro")).toEqual({ in: 1.25, out: 10, cachedIn: 0.125 });
});

test("what the public list prices by its input alone writes nothing", () => {
  expect(list("openai", "text-embedding-3-small")).toEqual({ in: 0.02, out: 0 });
});

test.each([
  ["openai", "no-such-model"],
  ["no-such-provider", "gpt-5-mini"],
])("the public list does not guess: %s/%s", (provider, model) => {
  expect(list(provider, model)).toBeUndefined();
});

test("the config's price wins over the list's", () => {
  const own = { "gpt-5-mini": { in: 9, out: 9 } };
  expect(priceOf("gpt-5-mini", { own, pricedAs: "openai", list })).toEqual({ in: 9, out: 9 });
  expect(priceOf("gpt-5", { own, pricedAs: "openai", list })?.out).toBe(10);
  expect(priceOf("gpt-5", { own, pricedAs: undefined, list })).toBeUndefined();
  expect(priceOf("toString", { own, pricedAs: undefined, list: undefined })).toBeUndefined();
});

test.each([
  [{ promptTokens: 1_000_000, completionTokens: 0 }, 4],
  [{ promptTokens: 0, completionTokens: 1_000_000, reasoningTokens: 900_000 }, 8],
  [{ promptTokens: 1_000_000, completionTokens: 0, cachedTokens: 500_000 }, 2.5],
  [{ promptTokens: 1_000_000, completionTokens: 0, cachedTokens: 2_000_000 }, 1],
])("%j costs %d dollars", (usage, usd) => {
  expect(costOf(usage, { in: 4, out: 8, cachedIn: 1 })).toBeCloseTo(usd);
});

test("cached tokens without a price of their own cost what the others do", () => {
  expect(costOf({ promptTokens: 1_000_000, completionTokens: 0, cachedTokens: 500_000 }, { in: 4, out: 8 })).toBeCloseTo(4);
});

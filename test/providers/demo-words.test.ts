import { expect, test } from "vitest";
import { GatewayError } from "../../src/model/errors.ts";
import { demo } from "../../src/providers/demo.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { newCall } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";

const clock = manualClock();
const instance = demo.build(demo.options.parse({}), { name: "demo", pools: openPools(), clock });

function embed(texts: readonly string[], call = newCall({ clock })): Promise<readonly Float32Array[]> {
  return clock.drive(instance.embedder?.("alto")?.embed(texts, call) ?? Promise.reject(new Error("no embedder")));
}

function rerank(query: string, documents: readonly string[], call = newCall({ clock })): Promise<readonly number[]> {
  return clock.drive(instance.reranker?.("alto")?.rerank(query, documents, call) ?? Promise.reject(new Error("no reranker")));
}

function cosine(a: Float32Array = new Float32Array(), b: Float32Array = new Float32Array()): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

test("embeds texts that share words near each other, always the same", async () => {
  const [sea, other, sum, again] = await embed(["The sea is blue.", "A blue sea", "Compute seven times eight", "The sea is blue."]);
  expect(cosine(sea, sea)).toBeCloseTo(1, 5);
  expect(cosine(sea, other)).toBeGreaterThan(0.4);
  expect(cosine(sea, sum)).toBeLessThan(0.3);
  expect(again).toEqual(sea);
});

test("reranks by the words of the query that a document has, the shorter of two ahead", async () => {
  const [none = 0, long = 0, short = 0] = await rerank("blue sea", ["Nothing here", "The blue sea and a long story beside it", "blue sea"]);
  expect([none < long, long < short, none]).toEqual([true, true, 0]);
});

test("takes its time, tells its usage and ends with its call", async () => {
  const call = newCall({ clock });
  const before = clock.now();
  await embed(["two words"], call);
  expect(clock.now() - before).toBe(120);
  expect(call.span).toMatchObject({ sent: true, usage: { promptTokens: 2, completionTokens: 0 }, estimated: false });
  const gone = new GatewayError("client_closed", "The client has left.");
  await expect(embed(["x"], newCall({ clock, signal: AbortSignal.abort(gone) }))).rejects.toBe(gone);
  await expect(rerank("x", ["y"], newCall({ clock, timeouts: { firstTokenMs: 50 } }))).rejects.toMatchObject({ code: "upstream_timeout" });
});

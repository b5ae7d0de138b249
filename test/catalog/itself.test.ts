/** A model that is asked about its own work is found behind an alias too. */
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { buildCatalog } from "../../src/catalog/build.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { loadConfig } from "../../src/config/load.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { manualClock } from "../support/clock.ts";

/** What is wrong with a node beside the aliases `small` and `tiny` of one model, and `big` of another. */
async function problems(node: object): Promise<readonly string[]> {
  const models = { small: "demo/alto", tiny: "small", big: "demo/bass", smart: node };
  const config = loadConfig({ text: stringify({ providers: { demo: { kind: "demo" } }, models }), env: {} });
  const pools = openPools();
  try {
    await buildCatalog(config, { pools, clock: manualClock(), warn: () => {} });
    return [];
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    return thrown.problems.map(({ path, message }) => `${path}: ${message}`);
  } finally {
    await pools.close();
  }
}

const judged = (model: unknown, judge: unknown) => ({
  kind: "cascade",
  steps: [{ model, accept: { by: "judge", judge, min: 7 } }, { model: "demo/bass" }],
});
const argued = (model: unknown, challenger: unknown) => ({ kind: "abstain", by: "compete", model, challenger });

test.each([
  ["demo/alto", "small"],
  ["small", "demo/alto"],
  ["small", "tiny"],
  ["demo/alto", { model: "tiny", temperature: 0 }],
])("%j is not judged or argued against by %j", async (model, other) => {
  expect(await problems(judged(model, other))).toEqual([
    expect.stringMatching(/^models\.smart\.steps\[0\]\.accept\.judge: is the step's own/),
  ]);
  expect(await problems(argued(model, other))).toEqual([expect.stringMatching(/^models\.smart\.challenger: is the model itself/)]);
});

test.each([
  ["demo/alto", "big"],
  ["small", { model: "demo/bass" }],
])("%j is by %j", async (model, other) => {
  expect(await problems(judged(model, other))).toEqual([]);
  expect(await problems(argued(model, other))).toEqual([]);
});

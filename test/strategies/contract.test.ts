import { describe, expect, test } from "vitest";
import { strategies } from "../../src/strategies/registry.ts";
import { buildNode, planNode } from "../support/build.ts";
import { countCalls, describeModelContract, type Make } from "../support/model-contract.ts";

test("the registry has kinds, each under its own name", () => {
  expect(strategies.size).toBeGreaterThan(0);
  for (const [name, { kind }] of strategies) expect(kind).toBe(name);
});

for (const { kind, examples } of strategies.values()) {
  describe(kind, () => {
    test("has examples of its own kind", () => {
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) expect(example).toMatchObject({ kind });
    });

    for (const example of examples) {
      const make: Make = (leaf) => buildNode(example, leaf, strategies);

      describeModelContract(JSON.stringify(example), make);

      test(`makes as many calls as planned: ${JSON.stringify(example)}`, async () => {
        const [best, worst] = planNode(example, strategies).plan.calls;
        const calls = await countCalls(make);
        expect(calls).toBeGreaterThanOrEqual(best);
        expect(calls).toBeLessThanOrEqual(worst);
      });
    }
  });
}

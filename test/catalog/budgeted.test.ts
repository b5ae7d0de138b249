import { expect, test } from "vitest";
import { budgeted } from "../../src/catalog/budgeted.ts";
import { observeLeaf } from "../../src/catalog/observe.ts";
import { openBudget, unbounded } from "../../src/model/budget.ts";
import { newCall, newRequest } from "../support/call.ts";
import { FakeModel } from "../support/fake-model.ts";
import { describeModelContract } from "../support/model-contract.ts";
import { read } from "../support/read.ts";
import { entering } from "./kit.ts";

describeModelContract("budgeted", (leaf) => budgeted(entering(leaf("a")), { usd: 1, calls: 9, tokens: 100_000, ms: 5_000 }));

const leaf = () => observeLeaf(new FakeModel("p/m"), undefined);

test("each request has a purse of its own", async () => {
  const model = budgeted(leaf(), { calls: 1 });
  const errors = [await read(model.stream(newRequest(), newCall())), await read(model.stream(newRequest(), newCall()))];
  expect(errors.map(({ error }) => error?.code)).toEqual([undefined, undefined]);
});

test("a purse can not hold more than the one above it", async () => {
  const budget = openBudget({ tokens: 1 }, unbounded, "outer");
  const { error } = await read(budgeted(leaf(), { tokens: 100_000 }).stream(newRequest(), newCall({ budget })));
  expect(error).toMatchObject({
    code: "budget_denied",
    message: "The tokens budget of outer has no room for another call.",
  });
});

import { expect, test } from "vitest";
import * as z from "zod";
import { buildCatalog } from "../../src/catalog/build.ts";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { ConfigError, type Problem } from "../../src/config/config-error.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Registries } from "../../src/config/schema.ts";
import { openBudget } from "../../src/model/budget.ts";
import { enter, type Call } from "../../src/model/call.ts";
import { GatewayError } from "../../src/model/errors.ts";
import { defineProvider } from "../../src/providers/define.ts";
import { retry } from "../../src/strategies/api/retry.ts";
import { defineStrategy, node } from "../../src/strategies/define.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { FakeModel, says, textIn } from "../support/fake-model.ts";
import { read } from "../support/read.ts";
import { modelOf } from "./kit.ts";

/** Answers with what its embedder or reranker says of some texts. */
const measure = defineStrategy({
  kind: "measure",
  level: "api",
  summary: "Measures texts.",
  options: z.strictObject({
    embedder: node.optional(),
    reranker: node.optional(),
    texts: z.array(z.string()),
    file: z.string().optional(),
  }),
  build({ embedder, reranker, texts, file }, site) {
    const embeds = embedder === undefined ? undefined : site.embedder(embedder, "embedder");
    const scores = reranker === undefined ? undefined : site.reranker(reranker, "reranker");
    const read = file === undefined ? "" : site.file(file, "file").toString("utf8");
    const usd = embedder === undefined ? undefined : site.prices.worstUsd(embedder, { promptTokens: 1_000_000, completionTokens: 0 });
    return {
      name: site.name,
      async *stream(request, call) {
        const vectors = await embeds?.embed(texts, enter(call, { label: "embedder" }));
        const ranks = await scores?.rerank("query", texts, enter(call, { label: "reranker" }));
        const told = JSON.stringify({ vectors: vectors?.map((vector) => [...vector]), ranks, read, usd });
        yield* new FakeModel(site.name, says(told)).stream(request, call);
      },
    };
  },
  plan: ({ embedder, reranker }, child) => ({
    calls: [1, 2],
    depth: 1,
    tail: "none",
    reads: true,
    edges: [embedder, reranker].flatMap((one) => (one === undefined ? [] : [{ role: "measurer", child: child(one) }])),
  }),
  examples: [],
});

interface Asked {
  readonly texts: readonly string[];
  readonly call: Call;
}

/** A provider that embeds two texts at a time, each by its length. `failures` come first. */
function measuring(asked: Asked[], failures: GatewayError[], offers: boolean) {
  const note = async (texts: readonly string[], call: Call) => {
    asked.push({ texts, call });
    call.span.sent = true;
    const failure = failures.shift();
    if (failure) throw failure;
    call.span.usage = { promptTokens: 10 * texts.length, completionTokens: 0 };
    call.span.estimated = false;
    await Promise.resolve();
  };
  return defineProvider({
    kind: offers ? "measuring" : "chatting",
    summary: "Measures.",
    options: z.strictObject({}),
    build: (_, site) => ({
      capabilities: () => ({}),
      chat: (model) => new FakeModel(`${site.name}/${model}`),
      ...(offers
        ? {
            embedder: (model: string) => ({
              name: `${site.name}/${model}`,
              most: 2,
              embed: async (texts: readonly string[], call: Call) => {
                await note(texts, call);
                return texts.map(({ length }) => Float32Array.from([length]));
              },
            }),
            reranker: (model: string) => ({
              name: `${site.name}/${model}`,
              most: 100,
              rerank: async (_query: string, texts: readonly string[], call: Call) => {
                await note(texts, call);
                return texts.map(({ length }) => length);
              },
            }),
          }
        : {}),
    }),
  });
}

interface Built {
  readonly catalog: Catalog;
  readonly asked: readonly Asked[];
}

const providers = "providers: {m: {kind: measuring, prices: {e: {in: 2, out: 0}}}, c: {kind: chatting}}\n";

async function build(models: string, failures: GatewayError[] = []): Promise<Built> {
  const asked: Asked[] = [];
  const kinds = [measuring(asked, failures, true), measuring(asked, failures, false)];
  const registries: Registries = {
    strategies: new Map([measure, retry].map((strategy) => [strategy.kind, strategy])),
    providers: new Map(kinds.map((provider) => [provider.kind, provider])),
  };
  const config = loadConfig({ text: providers + models, env: {} });
  return { catalog: await buildCatalog(config, { pools: openPools(), clock: manualClock(), warn: () => {}, registries }), asked };
}

async function problemsOf(models: string): Promise<readonly Problem[]> {
  try {
    await build(models);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.problems;
    throw thrown;
  }
  throw new Error("the config was accepted");
}

async function ask({ catalog }: Built, given: Partial<Call> = {}) {
  const clock = manualClock();
  const call = newCall({ clock, ...given });
  const { events, error } = await clock.drive(read(modelOf(catalog, "x").stream(newRequest(), call)));
  return { call, error, told: error ? undefined : (JSON.parse(textIn(events)) as unknown) };
}

test("a call of an embedder is a leg: a span, usage, price and the ledger", async () => {
  const built = await build("models: {x: {kind: measure, embedder: m/e, texts: [a, bb]}}");
  const { call, told } = await ask(built);
  expect(told).toEqual({ vectors: [[1], [2]], read: "", usd: 2 });
  const usage = { promptTokens: 20, completionTokens: 0 };
  expect(call.ledger.legs).toEqual([{ upstream: "m/e", status: "ok", usage, usd: 0.000_04, estimated: false }]);
  const [span] = call.trace.root.children;
  expect(span?.children[0]).toMatchObject({ node: "m/e", kind: "leaf", upstream: "m/e", status: "ok", usage });
});

test("more texts than one call takes go in several, each a leg with attempts of its own", async () => {
  const built = await build("models: {x: {kind: measure, embedder: m/e, texts: [a, bb, ccc, dddd, eeeee]}}");
  const { call, told } = await ask(built);
  expect(told).toMatchObject({ vectors: [[1], [2], [3], [4], [5]] });
  expect(built.asked.map(({ texts }) => texts.length)).toEqual([2, 2, 1]);
  expect(call.ledger.legs).toHaveLength(3);
  expect(call.trace.root.children[0]).toMatchObject({ kind: "batches", status: "ok" });
});

test("a reranker answers in the order of its documents", async () => {
  const { told, call } = await ask(await build("models: {x: {kind: measure, reranker: m/r, texts: [aaa, b]}}"));
  expect(told).toMatchObject({ ranks: [3, 1] });
  expect(call.ledger.legs).toMatchObject([{ upstream: "m/r", usage: { promptTokens: 20 } }]);
});

test("the provider's retries hold for it, and every attempt is booked", async () => {
  const busy = new GatewayError("upstream_overloaded", "busy", { upstream: "m/e", upstreamStatus: 503 });
  const built = await build("models: {x: {kind: measure, embedder: m/e, texts: [a]}}", [busy]);
  const { call, error } = await ask(built);
  expect(error).toBeUndefined();
  expect(call.ledger.legs.map(({ status }) => status)).toEqual(["failed", "ok"]);
});

test("its failure is told as it is", async () => {
  const refused = new GatewayError("upstream_auth", "no", { upstream: "m/e", upstreamStatus: 401 });
  const { call, error } = await ask(await build("models: {x: {kind: measure, embedder: m/e, texts: [a]}}", [refused]));
  expect(error?.code).toBe("upstream_auth");
  // Who refuses with a status asks no money.
  expect(call.ledger.legs).toMatchObject([{ status: "failed", usd: 0 }]);
});

test("a budget is reserved before it is asked", async () => {
  const built = await build("models: {x: {kind: measure, embedder: m/e, texts: [a, bb, ccc], budget: {calls: 1}}}");
  const { error } = await ask(built);
  expect(error?.code).toBe("budget_denied");
  expect(built.asked).toHaveLength(1);
  const tight = await build("models: {x: {kind: measure, embedder: m/e, texts: [a]}}");
  const { call } = await ask(tight);
  const budget = openBudget({ usd: 0.000_000_1 }, call.budget, "test");
  expect((await ask(tight, { budget })).error?.code).toBe("budget_denied");
});

test("an aborted call asks nobody, and what was asked is booked as cancelled", async () => {
  const gone = new GatewayError("client_closed", "The client has left.");
  const built = await build("models: {x: {kind: measure, embedder: m/e, texts: [a]}}", [gone]);
  const controller = new AbortController();
  controller.abort(gone);
  const { error, call } = await ask(built, { signal: controller.signal });
  expect(error?.code).toBe("client_closed");
  expect(call.ledger.legs).toMatchObject([{ status: "cancelled" }]);
});

test("an alias embeds as its model does, and stands in the plan", async () => {
  const built = await build("models: {mine: m/e, x: {kind: measure, embedder: mine, texts: [a]}}");
  expect((await ask(built)).told).toMatchObject({ vectors: [[1]] });
  expect(built.catalog.get("x")?.plan.edges).toMatchObject([{ role: "measurer", child: { title: "mine", plan: { calls: [1, 1] } } }]);
});

test("a model that does not offer it fails the boot, at its place, with who does", async () => {
  expect(await problemsOf("models: {x: {kind: measure, embedder: c/gpt, texts: [a]}}")).toMatchObject([
    { path: "models.x.embedder", message: 'c/gpt does not embed; name a model of "m"' },
  ]);
  expect(await problemsOf("models: {x: {kind: measure, reranker: {kind: retry, model: m/e}, texts: [a]}}")).toMatchObject([
    { path: "models.x.reranker", message: 'a node of kind "retry" can not rerank; name a model of "m"' },
  ]);
  expect(await problemsOf("models: {x: {kind: measure, embedder: m/e/none, reranker: nobody, texts: []}}")).toMatchObject([
    { path: "models.x.reranker", message: 'there is no model "nobody"' },
  ]);
});

test("a file that is not there fails the boot, at the option that names it", async () => {
  const [problem] = await problemsOf("models: {x: {kind: measure, texts: [], file: nowhere.jsonl}}");
  expect(problem?.path).toBe("models.x.file");
  expect(problem?.message).toMatch(/can not read .*nowhere\.jsonl \(ENOENT\)/);
});

test("the price of what has none is unknown, not zero", async () => {
  expect((await ask(await build("models: {x: {kind: measure, embedder: m/other, texts: [a]}}"))).told).not.toHaveProperty("usd");
});

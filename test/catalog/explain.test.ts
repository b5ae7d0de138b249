import { afterAll, describe, expect, test } from "vitest";
import { buildCatalog } from "../../src/catalog/build.ts";
import type { Catalog, Entry } from "../../src/catalog/catalog.ts";
import type { Explained, ExplainedWay } from "../../src/catalog/explain.ts";
import { checkConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/model/clock.ts";
import { GatewayError } from "../../src/model/errors.ts";
import { newLedger, type Ledger } from "../../src/model/ledger.ts";
import type { ChatBody } from "../../src/model/request.ts";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";
import { newTrace } from "../../src/model/trace.ts";
import type { Node } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { newCall, newRequest } from "../support/call.ts";
import { chunkStream, completionJson, json, sse, startUpstream, type Script, type Upstream } from "../support/upstream.ts";

type Fields = Partial<ChatBody>;

const tool = { type: "function", function: { name: "look_up", parameters: { type: "object" } } };
const schema = {
  type: "json_schema",
  json_schema: { name: "answer", schema: { type: "object", properties: { answer: { type: "number" } }, required: ["answer"] } },
} as const;

/** Every request that changes the way of one. */
const requests: Readonly<Record<string, Fields>> = {
  "a plain request": {},
  "a stream": { stream: true },
  "a turn with tools": { tools: [tool] },
  "a turn that answers tool calls": {
    tools: [tool],
    messages: [
      { role: "user", content: "What is 2+2?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "call_1", type: "function", function: { name: "look_up", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "call_1", content: "4" },
    ],
  },
  "two choices": { n: 2 },
  "two choices, streamed": { n: 2, stream: true },
  "a schema": { response_format: schema },
};

interface Built {
  readonly upstream: Upstream;
  readonly catalog: Catalog;
}

const priced = { in: 1, out: 4 };

/** A catalog over a scripted upstream with the models `a`, `b` and `c`. */
async function build(models: Readonly<Record<string, Node>>, script: Script, provider: object = {}): Promise<Built> {
  const upstream = await startUpstream({ "*": script }, afterAll);
  const prices = { a: priced, b: { in: 2, out: 8 }, c: { in: 3, out: 12 } };
  const up = {
    kind: "openai",
    dialect: "generic",
    baseUrl: upstream.url,
    models: ["a", "b", "c"],
    prices,
    retry: { attempts: 1 },
    ...provider,
  };
  const folder = new URL("../support/files", import.meta.url).pathname;
  const config = checkConfig({ providers: { up }, models }, {}, { folder, line: () => undefined, written: () => undefined });
  const pools = openPools();
  afterAll(() => pools.close());
  return { upstream, catalog: await buildCatalog(config, { pools, clock: systemClock, warn: () => {} }) };
}

function entryOf(catalog: Catalog, name: string): Entry {
  const entry = catalog.get(name);
  if (!entry) throw new Error(`no model ${name}`);
  return entry;
}

function explain(
  catalog: Catalog,
  name: string,
  fields: Fields = {},
  given: { readonly header?: (name: string) => string | undefined } = {},
) {
  const call = { principal: { name: "team-a" }, trace: newTrace(0, false), ...given };
  return catalog.explain(entryOf(catalog, name), { request: newRequest(fields), call });
}

function attempt<T>(run: () => T): T | GatewayError {
  try {
    return run();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
}

interface Ran {
  readonly ledger: Ledger;
  readonly error?: unknown;
}

/** Runs a request for real. */
async function run(catalog: Catalog, name: string, fields: Fields): Promise<Ran> {
  const ledger = newLedger();
  const delivery = fields.stream === true ? "stream" : "unary";
  const call = newCall({ clock: systemClock, ledger, delivery, slot: newSlot(newRetryBudget()) });
  try {
    for await (const _ of entryOf(catalog, name).model.stream(newRequest(fields), call));
    return { ledger };
  } catch (error) {
    return { ledger, error };
  }
}

/** It is valid under the schema above. */
const valid = '{"answer": 42, "label": "A", "choice": "A", "verdict": "yes", "confidence": 0.9, "grade": 8, "grades": {"A": 8}}';
const mixed = ["Hello", "42", '{"answer": 42}', valid];

/** Answers with these texts in turn; embeds and reranks too. */
function answering(said: readonly string[], failing?: string): Script {
  let turn = 0;
  return (exchange) => {
    const { path, json: body, model } = exchange.request;
    if (model === failing) return json(500, { error: { message: "down" } })(exchange);
    const texts = body["input"] as readonly string[] | undefined;
    if (path.endsWith("/embeddings")) {
      const data = (texts ?? []).map((_, index) => ({ index, embedding: [1, index + 1, 2] }));
      return json(200, { data, usage: { prompt_tokens: 3, total_tokens: 3 } })(exchange);
    }
    if (path.endsWith("/rerank")) {
      const documents = body["documents"] as readonly string[];
      return json(200, { results: documents.map((_, index) => ({ index, relevance_score: index })) })(exchange);
    }
    turn += 1;
    const text = said[turn % said.length] ?? "";
    const n = typeof body["n"] === "number" ? body["n"] : 1;
    if (body["stream"] === true) return sse(chunkStream([text], { n }))(exchange);
    const one = completionJson(text) as { readonly choices: readonly object[] };
    const choices = Array.from({ length: n }, (_, index) => ({ ...one.choices[0], index }));
    return json(200, { ...one, choices })(exchange);
  };
}

const examples = [...strategies.values()].flatMap(({ kind, examples: all }) =>
  all.map((example, index) => [`${kind}-${index + 1}`, example] as const),
);

const policies = [
  { policy: "vote", members: ["a", "b"] },
  { policy: "select", members: ["a", { kind: "vote", members: ["a", "b"], tools: { policy: "vote" } }], judge: "c" },
  { policy: "advise", members: ["a", "b"], owner: "c" },
];

/** The first example of each kind that knows a policy, under that policy. */
const underPolicies = [...strategies.values()].flatMap(({ kind, options, examples: [first] }) => {
  const { kind: _, ...rest } = typeof first === "object" ? first : { kind };
  const known = policies.filter((tools) => options.safeParse({ ...rest, tools }).success);
  return known.map((tools) => [`${kind}-${tools.policy}`, { ...rest, kind, tools }] as const);
});

const models = Object.fromEntries<Node>([...examples, ...underPolicies]);

function leavesOf({ kind, title, ways }: ExplainedWay): readonly string[] {
  return kind === "leaf" ? [title] : ways.flatMap(leavesOf);
}

/** What holds for every explanation by itself. */
function checkExplained({ plan, way, legs, worstUsd, costCoverage }: Explained): void {
  expect(plan.calls[0]).toBeLessThanOrEqual(plan.calls[1]);
  expect(legs.map(({ model }) => model).toSorted()).toEqual([...new Set(leavesOf(way))].toSorted());
  expect(costCoverage).toBe(1);
  expect(worstUsd).toBeGreaterThan(0);
  for (const leg of legs) {
    expect(leg.calls).toBeLessThanOrEqual(plan.calls[1]);
    expect(leg.worstUsd).toBeLessThanOrEqual(worstUsd ?? 0);
  }
}

/** Calls by upstream. */
function callsOf({ ledger }: Ran): ReadonlyMap<string, number> {
  const calls = new Map<string, number>();
  for (const { upstream } of ledger.legs) calls.set(upstream, (calls.get(upstream) ?? 0) + 1);
  return calls;
}

for (const dialect of ["generic", "one choice a call"] as const) {
  describe(`every example of every kind, over servers of the kind: ${dialect}`, async () => {
    const provider = dialect === "generic" ? {} : { dialect: "ollama" };
    const own =
      dialect === "generic"
        ? models
        : Object.fromEntries(Object.entries(models).filter(([, example]) => !JSON.stringify(example).includes("reward")));
    const quiet = await build(own, () => {}, provider);
    const free = await build(own, answering(mixed), provider);
    const strict = await build(own, answering([valid]), provider);
    const failing = await build(own, answering(mixed, "a"), provider);

    test.for(Object.keys(own))("%s: is explained without a connection", (name) => {
      for (const fields of Object.values(requests)) {
        const explained = attempt(() => explain(quiet.catalog, name, fields));
        if (!(explained instanceof GatewayError)) checkExplained(explained);
      }
      expect(quiet.upstream.connections).toBe(0);
    });

    // How many calls choices need is all that differs.
    const isOneChoice = dialect !== "generic";
    const asked = Object.entries(requests).filter(([, { n, stream }]) => isOneChoice === (n !== undefined && stream === true));
    for (const [what, fields] of asked) {
      test.for(Object.keys(own))(`%s: ${what} does what was foretold`, async (name) => {
        // An answer that misses the schema is a failure, and then fewer calls may follow.
        const { catalog, upstream } = fields.response_format ? strict : free;
        const before = upstream.requests.length;
        const explained = attempt(() => explain(catalog, name, fields));
        const ran = await run(catalog, name, fields);
        const calls = callsOf(ran);
        if (explained instanceof GatewayError) {
          expect(upstream.requests).toHaveLength(before);
          expect(ran.error).toMatchObject({ code: explained.code, message: explained.message });
          return;
        }
        const [best, worst] = explained.plan.calls;
        if (ran.error === undefined) expect(ran.ledger.legs.length).toBeGreaterThanOrEqual(best);
        expect(ran.ledger.legs.length).toBeLessThanOrEqual(worst);
        const legs = new Map(explained.legs.map((leg) => [leg.model, leg]));
        for (const [model, count] of calls) expect(legs.get(model)?.calls, model).toBeGreaterThanOrEqual(count);
        if (ran.error === undefined)
          for (const { model, state } of explained.legs) if (state === "certain") expect(calls.has(model), model).toBe(true);
        expect(ran.ledger.cost().usd).toBeLessThanOrEqual((explained.worstUsd ?? 0) + 1e-12);
      });
    }

    const unrepeated = Object.keys(own).filter((name) => !JSON.stringify(own[name]).includes('"retry"'));
    const bad = [
      ["when a model is down", failing, {}],
      ["when answers miss the schema", free, { response_format: schema }],
      ["when answers of two choices miss the schema", free, { n: 2, response_format: schema }],
    ] as const;
    if (dialect !== "generic") return;
    for (const [when, { catalog }, fields] of bad) {
      test.for(unrepeated)(`%s: asks nobody else, and not more often, ${when}`, async (name) => {
        const explained = explain(catalog, name, fields);
        const ran = await run(catalog, name, fields);
        expect(ran.ledger.legs.length).toBeLessThanOrEqual(explained.plan.calls[1]);
        const legs = new Map(explained.legs.map((leg) => [leg.model, leg]));
        for (const [model, count] of callsOf(ran)) expect(legs.get(model)?.calls, model).toBeGreaterThanOrEqual(count);
      });
    }
  });
}

describe("a request", async () => {
  const { catalog, upstream } = await build(
    {
      exam: { kind: "vote", members: ["a", "b", "c"] },
      deep: { kind: "fuse", members: ["a", "exam"], writer: { model: "b", maxTokens: 100 } },
      silent: { kind: "vote", members: ["a", "b"], tools: { policy: "refuse" } },
      ruled: {
        kind: "route",
        by: "rules",
        rules: [
          { when: { text: "prove" }, model: "deep" },
          { when: { language: "de" }, model: "b" },
          { when: { header: { "x-tier": "gold" } }, model: "c" },
          { when: { key: "team-a", tokens: { min: 1000 } }, model: "exam" },
        ],
        else: "a",
      },
      asked: {
        kind: "route",
        by: "prompt",
        router: "exam",
        members: [
          { model: "a", description: "A" },
          { model: "b", description: "B" },
        ],
      },
      kept: { kind: "cache", model: "a" },
      spare: { kind: "fallback", members: ["silent", "a"] },
      last: { kind: "fallback", members: ["a", "silent"] },
      stepped: { kind: "cascade", steps: [{ model: "a", accept: { by: "ask" } }, { model: "exam" }] },
      team: { kind: "vote", members: ["ruled", "b"] },
      poor: { kind: "vote", members: ["a", "b", "c"], budget: { usd: 0.0001, calls: 2 } },
      mixed: { kind: "vote", members: ["a", "b"] },
      voted: { kind: "vote", members: ["a", "b"], tools: { policy: "vote" } },
      picked: { kind: "fuse", members: ["a", "exam"], writer: "b", tools: { policy: "select", judge: "c" } },
      advised: { kind: "fuse", members: ["a", "exam"], writer: "c", tools: { policy: "advise" } },
      alias: "up/a",
    },
    () => {},
  );
  const text = (content: string) => ({ messages: [{ role: "user", content }] });
  const legs = (explained: Explained) => explained.legs.map(({ model, state }) => `${model} ${state}`);

  test("goes by the rule that holds, and nowhere else", () => {
    expect(legs(explain(catalog, "ruled", text("Hello")))).toEqual(["up/a certain"]);
    expect(legs(explain(catalog, "ruled", text("Warum ist der Himmel blau und nicht grün?")))).toEqual(["up/b certain"]);
    expect(legs(explain(catalog, "ruled", text("x".repeat(8000))))).toEqual(["up/a certain", "up/b certain", "up/c certain"]);
    const { plan, way } = explain(catalog, "ruled", { ...text("Please prove it."), stream: true });
    expect(plan).toEqual({ calls: [5, 5], depth: 2, tail: "up/b", tools: "up/b" });
    expect(way.notes).toEqual(["rule 1 of 4 holds"]);
    expect(way.ways.map(({ role, title }) => [role, title])).toEqual([["rule 1", "deep"]]);
    const gold = explain(catalog, "ruled", text("Hello"), { header: (name) => (name === "x-tier" ? "gold" : undefined) });
    expect(legs(gold)).toEqual(["up/c certain"]);
  });

  test("may take every way of a route that sits on a panel: it may be asked something else there", () => {
    const { way } = explain(catalog, "team", text("Hello"));
    expect(way.ways[0]?.notes).toEqual(["its way depends on what it is asked here"]);
    expect(way.ways[0]?.ways).toHaveLength(5);
  });

  test("is told who decides where a model does, which is asked without the tools", () => {
    const { plan, way } = explain(catalog, "asked", { tools: [tool] });
    expect(way.notes).toEqual(["decided by a call to its router, or as it was for the same conversation"]);
    expect(way.ways[0]).toMatchObject({ role: "router", title: "exam", calls: [3, 3] });
    expect(plan.calls).toEqual([1, 7]);
  });

  test("with tools goes to their owner alone", () => {
    const { plan, way, legs: asked } = explain(catalog, "deep", { tools: [tool], n: 2, stream: true });
    expect(plan).toMatchObject({ calls: [1, 1], depth: 1, tail: "up/b", tools: "up/b" });
    expect(way.notes).toEqual(["with tools: one model alone"]);
    expect(way.ways).toMatchObject([{ role: "owner", title: "up/b", state: "certain" }]);
    expect(asked).toMatchObject([{ model: "up/b", calls: 1 }]);
    expect(explain(catalog, "stepped", { tools: [tool] }).way.ways).toMatchObject([{ role: "owner", title: "exam" }]);
  });

  test("with tools under another policy asks whom the policy asks, and nobody else", () => {
    const voted = explain(catalog, "voted", { tools: [tool], stream: true });
    expect(voted).toMatchObject({
      plan: { calls: [2, 2], depth: 1, tail: "none", tools: "vote of up/a, up/b" },
      way: { notes: ["with tools: vote of up/a, up/b"] },
    });
    expect(voted.legs).toMatchObject([
      { model: "up/a", state: "certain", calls: 1 },
      { model: "up/b", state: "certain", calls: 1 },
    ]);
    expect(explain(catalog, "voted", { tools: [tool], n: 3 }).plan.calls).toEqual([6, 6]);
    const picked = explain(catalog, "picked", { tools: [tool] });
    expect(picked.plan).toMatchObject({ calls: [2, 4], depth: 3, tail: "none" });
    expect(picked.way.ways.map(({ role, title, state }) => [role, title, state])).toEqual([
      ["member 1", "up/a", "certain"],
      ["member 2", "exam", "certain"],
      ["tools judge", "up/c", "possible"],
    ]);
    expect(picked.legs.map(({ model }) => model)).toEqual(["up/a", "up/c"]);
    const advised = explain(catalog, "advised", { tools: [tool], n: 2, stream: true });
    expect(advised.plan).toMatchObject({ calls: [5, 5], depth: 2, tail: "up/c" });
    expect(advised.way.ways.map(({ role, title, state }) => [role, title, state])).toEqual([
      ["member 1", "up/a", "certain"],
      ["member 2", "exam", "certain"],
      ["owner", "up/c", "certain"],
    ]);
    expect(explain(catalog, "picked").way.ways.map(({ role }) => role)).toEqual(["member 1", "member 2", "writer"]);
    expect(explain(catalog, "picked").plan.calls).toEqual([5, 5]);
  });

  test("that would be refused at once is refused with the same error", () => {
    const refused = { code: "unsupported_parameter", details: { param: "tools" } };
    for (const name of ["silent", "spare"]) expect(attempt(() => explain(catalog, name, { tools: [tool] }))).toMatchObject(refused);
    const { plan, warnings } = explain(catalog, "last", { tools: [tool] });
    expect(plan.calls).toEqual([1, 1]);
    expect(warnings).toEqual(["silent would refuse this request: This model does not take tools."]);
    const bad = { response_format: { type: "json_schema", json_schema: { name: "x", schema: { pattern: "(" } } } };
    expect(attempt(() => explain(catalog, "exam", bad))).toMatchObject({ code: "invalid_request", details: { param: "response_format" } });
    expect(explain(catalog, "alias", bad).plan.calls).toEqual([1, 1]);
  });

  test("with a schema does not stream from a panel, and may cost one repair", () => {
    const { plan } = explain(catalog, "deep", { stream: true, response_format: schema });
    expect(plan).toMatchObject({ calls: [5, 10], tail: "none" });
    expect(explain(catalog, "alias", { stream: true, response_format: schema }).plan.tail).toBe("alias");
  });

  test("for several choices is so many runs of a panel, and one call of a leaf", () => {
    expect(explain(catalog, "exam", { n: 3 }).plan).toMatchObject({ calls: [9, 9], depth: 1 });
    expect(explain(catalog, "alias", { n: 3 }).plan.calls).toEqual([1, 1]);
    const [one, three] = [1, 3].map((n) => explain(catalog, "alias", { n, max_tokens: 1000 }).worstUsd ?? 0);
    expect(three).toBeCloseTo((one ?? 0) + 0.008, 6);
  });

  test("passes a cache by when it says so, and may be answered from it otherwise", () => {
    expect(explain(catalog, "kept").plan.calls).toEqual([0, 1]);
    expect(legs(explain(catalog, "kept"))).toEqual(["up/a possible"]);
    const passed = explain(catalog, "kept", { tools: [tool] });
    expect([passed.plan.calls, passed.way.notes]).toEqual([[1, 1], ["passes the cache by: it offers tools"]]);
  });

  test("is priced by its own size, with the answers that a writer is shown", () => {
    const { worstUsd, legs: all } = explain(catalog, "mixed", { max_tokens: 1000 });
    const prompt = Math.ceil(
      JSON.stringify({ model: "smart", messages: [{ role: "user", content: "What is 2+2?" }], max_tokens: 1000 }).length / 4,
    );
    expect(worstUsd).toBeCloseTo((prompt * 1 + 1000 * 4 + (prompt * 2 + 1000 * 8)) / 1e6, 9);
    expect(all.map((leg) => leg.calls)).toEqual([1, 1]);
    const deep = explain(catalog, "deep", { max_tokens: 1000 }).worstUsd ?? 0;
    expect(deep).toBeGreaterThan((4 * 1000 * 2) / 1e6 + (1000 * (4 + 8 + 12)) / 1e6);
  });

  test("costs no more, and asks no more often, than its budgets let it", () => {
    expect(explain(catalog, "poor")).toMatchObject({
      worstUsd: 0.0001,
      plan: { calls: [2, 2] },
      way: { notes: ["budget: 0.0001 usd, 2 calls"] },
    });
    expect(new Set(explain(catalog, "poor").legs.map(({ state }) => state))).toEqual(new Set(["possible"]));
    const call = { principal: { name: "team-a" }, trace: newTrace(0, false) };
    const narrowed = catalog.explain(entryOf(catalog, "exam"), { request: newRequest(), call }, { usd: 0.00001, calls: 1 });
    expect(narrowed).toMatchObject({ worstUsd: 0.00001, plan: { calls: [1, 1] } });
  });

  test("is never taken to cost nothing where a price is unknown", async () => {
    const dear = await build({ mixed: { kind: "vote", members: ["a", "b"] }, poor: "up/b" }, () => {}, { prices: { a: priced } });
    const explained = explain(dear.catalog, "mixed");
    expect(explained.costCoverage).toBe(0.5);
    expect(explained.worstUsd).toBeGreaterThan(0);
    expect(explained.legs.map(({ worstUsd }) => worstUsd)).toEqual([explained.worstUsd, null]);
    expect(explained.warnings).toEqual(["no price is known of up/b"]);
    expect(explain(dear.catalog, "poor")).toMatchObject({ worstUsd: null, costCoverage: 0 });
  });

  test("tells of the attempts that its providers make where something fails, which it does not count", async () => {
    const stubborn = await build({ exam: { kind: "vote", members: ["a", "b"] } }, () => {}, { retry: { attempts: 4 } });
    expect(explain(stubborn.catalog, "exam")).toMatchObject({ plan: { calls: [2, 2] }, legs: [{ attempts: 4 }, { attempts: 4 }] });
    expect(explain(stubborn.catalog, "up/a")).toMatchObject({ plan: { calls: [1, 1] }, legs: [{ calls: 1, attempts: 4 }] });
    expect(explain(catalog, "exam").legs.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  });

  test("is sent to nobody", () => {
    expect(upstream.connections).toBe(0);
  });
});

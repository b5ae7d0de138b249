import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { engineAvailable, type Llama, startLlama } from "../../engines/llama.ts";
import { type Running, serve } from "../../src/serve.ts";
import { OptionError, type Node, type Strategy } from "../../src/strategies/define.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { buildNode, planNode } from "../support/build.ts";
import { FakeModel } from "../support/fake-model.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";

// Without the engine nothing is run here, except in CI, where its absence is a failure.
const describeEngine = describe.skipIf(!engineAvailable() && !process.env["CI"]);

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

interface Told {
  readonly usage: Usage;
  readonly chorale: {
    readonly strategy: readonly string[];
    readonly decision?: Readonly<Record<string, unknown>>;
    readonly members: readonly { readonly model: string; readonly label: string; readonly status: string; readonly usage?: Usage }[];
  };
}

/** What the smallest examples do not show: a judge between answers that differ, vectors, scores. */
const further: Readonly<Record<string, Node>> = {
  "rank by judge": { kind: "rank", members: ["a", "b"], by: "judge", judge: "c" },
  "abstain by ask": { kind: "abstain", model: "a", by: "ask", min: 0.5, judge: "c" },
  "route by embedding": {
    kind: "route",
    by: "embedding",
    members: ["a", "b"],
    embedder: "vectors/smollm2",
    labelled: [
      { text: "What is the capital of France?", best: "a" },
      { text: "Write a poem about the sea.", best: "b" },
    ],
    k: 1,
  },
  "vote by embeddings": { kind: "vote", members: ["a", "b"], answer: "semantic", embedder: "vectors/smollm2", threshold: 0.8 },
  "rank by reward": { kind: "rank", members: ["a", "b"], by: "reward", reward: "scores/smollm2" },
};

/** The same model on three engines, under three names: a judge skips what its own model said. */
const members = { a: "one/smollm2", b: "two/smollm2", c: "three/smollm2" } as const;

type Config = Exclude<Node, string>;

/** Undefined for options that are not legal, or not for this kind. */
function callsOf(node: Config): number | undefined {
  try {
    buildNode(node, (name) => new FakeModel(name), strategies);
    return planNode(node, strategies).plan.calls[1];
  } catch (thrown) {
    if (thrown instanceof OptionError || thrown instanceof z.ZodError) return undefined;
    throw thrown;
  }
}

/** Options that make a panel small, where a kind has them. */
const trims: readonly Readonly<Record<string, unknown>>[] = [
  { members: ["a", "b"] },
  { decider: "c" },
  { rounds: 1 },
  { rounds: 2 },
  { maxTurns: 1 },
  { reviews: 1 },
  { reviewers: 1 },
  { samples: 2 },
];

/** The example of a kind that makes the fewest calls, trimmed; those that a slow machine or a vague answer could fail only where there are no others. */
function smallest({ examples }: Strategy): Node {
  const costOf = (node: Config) => (callsOf(node) ?? Infinity) + (/\wMs"|"fail"|"number"/.test(JSON.stringify(node)) ? 1_000 : 0);
  // Vectors and scores come from other engines.
  const chatting = examples.filter((example) => !/"(?:embedder|reward)"/.test(JSON.stringify(example))) as readonly Config[];
  const [first] = chatting.toSorted((one, other) => costOf(one) - costOf(other));
  if (!first) throw new Error("a kind without an example");
  let node = first;
  for (const trim of trims) {
    const trimmed = { ...node, ...trim };
    if (costOf(trimmed) < costOf(node)) node = trimmed;
  }
  return node;
}

const cases: Readonly<Record<string, Node>> = {
  ...Object.fromEntries([...strategies.values()].map((strategy) => [strategy.kind, smallest(strategy)])),
  ...further,
};

const nameOf = (title: string) => title.replaceAll(" ", "-");

let folder: string;
let engines: readonly Llama[] = [];
let gateway: Running;

describeEngine("every kind over a real model", () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "chorale-kinds-"));
    // One thread each: test files run side by side, and engines that share cores wait for each other at every token.
    // Cards and reviews have neither a bound nor a temperature of their own.
    const chat = { threads: 1, predict: 12, temperature: 0 };
    engines = await Promise.all([
      ...[chat, chat, chat].map((options) => startLlama(options)),
      startLlama({ threads: 1, pooling: "mean" }),
      startLlama({ threads: 1, pooling: "rank" }),
    ]);
    const [one, two, three, vectors, scores] = engines.map(({ url }) => ({
      kind: "openai",
      baseUrl: `${url}/v1`,
      dialect: "llama.cpp",
      models: ["smollm2"],
      prices: { smollm2: { in: 0.01, out: 0.02 } },
    }));
    const config = join(folder, "chorale.yaml");
    writeFileSync(
      config,
      JSON.stringify({
        store: { kind: "memory" },
        providers: { one, two, three, vectors, scores },
        models: { ...members, ...Object.fromEntries(Object.entries(cases).map(([title, node]) => [nameOf(title), node])) },
      }),
    );
    // Fences are the same each time.
    const env = { PORT: "0", LOG_LEVEL: "silent" };
    gateway = await serve({ env, config, probe: () => Promise.resolve(undefined), random: () => 0.5 });
  }, 60_000);

  afterAll(async () => {
    await gateway?.close();
    await Promise.all(engines.map((engine) => engine.close()));
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (title: string, fields: object) =>
    fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: nameOf(title),
        messages: [{ role: "user", content: "What is the capital of France?" }],
        // Members draw seeds of their own, so that there is something to judge.
        temperature: 0.5,
        seed: 1,
        max_tokens: 6,
        chorale: { expose: "full" },
        ...fields,
      }),
    });

  /** Usage is the sum of all legs; a panel says what it decided. */
  function checkTold(title: string, { usage, chorale }: Told): void {
    const sum = (key: keyof Usage) => chorale.members.reduce((total, member) => total + (member.usage?.[key] ?? 0), 0);
    expect(usage).toMatchObject({
      prompt_tokens: sum("prompt_tokens"),
      completion_tokens: sum("completion_tokens"),
      total_tokens: sum("total_tokens"),
    });
    expect(chorale.members.filter(({ status }) => status === "running")).toEqual([]);
    const node = cases[title];
    const kind = typeof node === "object" ? node.kind : "";
    expect(chorale.strategy[0]).toBe(kind);
    if (strategies.get(kind)?.level === "text") expect(chorale.decision).toMatchObject({ kind });
  }

  // In this order: the engines know most of a stream's prompts from the whole answer before it. One kind at a time, since what an engine computes
  // for several requests at once is not quite the same, and so are the answers that later prompts are made of.
  describe.each(Object.keys(cases))("%s", (title) => {
    test("answers whole", async () => {
      const response = await ask(title, {});
      const answer = (await response.json()) as Told;
      expect(answer).toMatchObject({
        object: "chat.completion",
        model: nameOf(title),
        choices: [{ index: 0, finish_reason: expect.any(String), message: { role: "assistant", content: expect.stringMatching(/\S/) } }],
      });
      expect(response.status).toBe(200);
      checkTold(title, answer);
    }, 60_000);

    test("answers as a stream", async () => {
      const response = await ask(title, { stream: true, stream_options: { include_usage: true } });
      const bytes = await response.text();
      expect(response.status).toBe(200);
      expect(validateStream(bytes, { usage: true })).toEqual([]);
      const answer = accumulate(bytes);
      expect(answer.choices[0]).toMatchObject({ index: 0, message: { role: "assistant", content: expect.stringMatching(/\S/) } });
      const frames = bytes.split("\n").filter((line) => line.startsWith("data: {"));
      checkTold(title, JSON.parse(frames.at(-1)!.slice("data: ".length)) as Told);
    }, 60_000);
  });
});

import { existsSync, globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { attempted } from "../../src/catalog/attempt.ts";
import { identityOf } from "../../src/catalog/identity.ts";
import { Incapable } from "../../src/catalog/incapable.ts";
import { collect } from "../../src/model/collect.ts";
import type { Embedder, Reranker } from "../../src/model/leaves.ts";
import { heedsOf } from "../../src/model/heeds.ts";
import type { Model } from "../../src/model/model.ts";
import { leafPlan, type Planned } from "../../src/model/plan.ts";
import { ownRequest } from "../../src/model/request.ts";
import { memoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { OptionError, type BuildSite, type Node, type Prompt, type Strategy } from "../../src/strategies/define.ts";

export type Strategies = ReadonlyMap<string, Strategy>;

function strategyOf(kind: string, strategies: Strategies): Strategy {
  const strategy = strategies.get(kind);
  if (!strategy) throw new Error(`no strategy of the kind ${kind}`);
  return strategy;
}

function optionsOf(node: Exclude<Node, string>, strategy: Strategy): unknown {
  return strategy.options.parse(Object.fromEntries(Object.entries(node).filter(([option]) => option !== "kind")));
}

const root = new URL("../../src/", import.meta.url).pathname;
const promptFiles = new Map(globSync("strategies/*/*.prompt.md", { cwd: root }).map((file) => [basename(file, ".prompt.md"), file]));
const prompts = new Map<string, Prompt>();

/** A shipped prompt, read once: properties build their trees thousands of times. */
function promptOf(name: string): Prompt {
  const prompt = prompts.get(name) ?? readPrompt(name);
  prompts.set(name, prompt);
  return prompt;
}

function readPrompt(name: string): Prompt {
  const file = promptFiles.get(name);
  if (file === undefined) throw new Error(`no prompt ${name}`);
  const text = readFileSync(root + file, "utf8");
  const variables = [...new Set([...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, variable]) => variable ?? ""))];
  return {
    variables,
    fill: (values) => text.replaceAll(/\{\{(\w+)\}\}/g, (_, variable: string) => values[variable] ?? ""),
  };
}

/** How many numbers a fake vector has. */
const DIMENSIONS = 16;

function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** Counts of words, each word at a place of its own as far as there are places: texts that share words are near each other. */
export function fakeVector(text: string): Float32Array {
  const vector = new Float32Array(DIMENSIONS);
  for (const word of wordsOf(text)) {
    let hash = 0;
    for (const letter of word) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
    const place = hash % DIMENSIONS;
    vector[place] = (vector[place] ?? 0) + 1;
  }
  return vector;
}

/** A call of a fake leaf that offers more than chat is one call of its scripted model, which waits, fails and stalls as its script says. */
function askedOnce(model: Model, texts: readonly string[], call: Parameters<Model["stream"]>[1]): Promise<unknown> {
  return collect(model.stream(ownRequest({ model: model.name, messages: [], input: texts }), { ...call, delivery: "unary" }));
}

/** Embeds with `fakeVector`, one call of the model for all texts. */
function fakeEmbedder(model: Model): Embedder {
  return {
    name: model.name,
    async embed(texts, call) {
      await askedOnce(model, texts, call);
      return texts.map(fakeVector);
    },
  };
}

/** The share of the query's words that each document has. */
export function fakeRanks(query: string, documents: readonly string[]): readonly number[] {
  const asked = new Set(wordsOf(query));
  return documents.map((document) => {
    const found = new Set(wordsOf(document).filter((word) => asked.has(word)));
    return asked.size === 0 ? 0 : found.size / asked.size;
  });
}

/** Scores by the share of the query's words that a document has, one call of the model for all documents. */
function fakeReranker(model: Model): Reranker {
  return {
    name: model.name,
    async rerank(query, documents, call) {
      await askedOnce(model, [query, ...documents], call);
      return fakeRanks(query, documents);
    },
  };
}

/** What a test puts in the place of the gateway's own. */
export interface Surroundings {
  readonly name?: string;
  readonly store?: Store;
  /** Text of files by name; others are read from `test/support/files`. */
  readonly files?: Readonly<Record<string, string>>;
  /** US dollars of a call by the name of its leaf; by default `a` costs 1, `b` 2 and `c` 3. */
  readonly prices?: Readonly<Record<string, number>>;
  /** Takes what the operator is warned of. */
  readonly warn?: (at: string, message: string) => void;
}

const alphabetical: Readonly<Record<string, number>> = { a: 1, b: 2, c: 3 };

function readFile(path: string, at: string, files: Readonly<Record<string, string>>): Buffer {
  const given = files[path];
  if (given !== undefined) return Buffer.from(given);
  const file = new URL(`files/${path}`, import.meta.url);
  if (!existsSync(file)) throw new OptionError(at, `can not read ${path} (ENOENT)`);
  return readFileSync(file);
}

function offerer(node: Node, at: string, leaf: (name: string) => Model): Model {
  if (typeof node !== "string") throw new OptionError(at, `a node of kind "${node.kind}" offers no more than chat`);
  return attempted(leaf(node), new Incapable(node, {}));
}

/** Builds a node as the catalog does, without `observe`: a name is a model of `leaf`'s, which takes an attempt for each call, `{kind}` a strategy. */
export function buildNode(node: Node, leaf: (name: string) => Model, strategies: Strategies, given: string | Surroundings = {}): Model {
  const around: Surroundings = typeof given === "string" ? { name: given } : given;
  return buildIn(node, leaf, strategies, {
    store: memoryStore(),
    files: {},
    prices: alphabetical,
    warn: () => {},
    name: "smart",
    ...around,
  });
}

function buildIn(node: Node, leaf: (name: string) => Model, strategies: Strategies, around: Required<Surroundings>): Model {
  if (typeof node === "string") return attempted(leaf(node), new Incapable(node, {}));
  const strategy = strategyOf(node.kind, strategies);
  const { name, store, files, prices, warn } = around;
  const site: BuildSite = {
    path: `models.${name}`,
    name,
    child: (child, at) => buildIn(child, leaf, strategies, { ...around, name: `${name}/${at}` }),
    embedder: (child, at) => fakeEmbedder(offerer(child, at, leaf)),
    reranker: (child, at) => fakeReranker(offerer(child, at, leaf)),
    prompt: promptOf,
    file: (path, at) => readFile(path, at, files),
    store,
    prices: { worstUsd: (child) => (typeof child === "string" ? prices[child] : undefined) },
    heeds: (child) => heedsOf(planNode(child, strategies).plan),
    identity: (child) => identityOf(child, { models: {}, strategies }),
    warn,
  };
  return strategy.build(optionsOf(node, strategy), site);
}

/** Plans a node as the catalog does. */
export function planNode(node: Node, strategies: Strategies): Planned {
  if (typeof node === "string") return { title: node, plan: leafPlan };
  const strategy = strategyOf(node.kind, strategies);
  return {
    title: node.kind,
    plan: strategy.plan(optionsOf(node, strategy), (child) => planNode(child, strategies)),
  };
}

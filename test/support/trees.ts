/** Random trees of strategies, made of the examples that each kind declares, and built by the real catalog over scripted upstreams. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "./properties.ts";
import { buildCatalog } from "../../src/catalog/build.ts";
import type { Entry } from "../../src/catalog/catalog.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { checkConfig } from "../../src/config/load.ts";
import { noOrigin, readPath, type Path } from "../../src/config/origin.ts";
import type { BudgetLimits } from "../../src/model/budget.ts";
import type { Node, Strategy } from "../../src/strategies/define.ts";
import { openPools, type Pools } from "../../src/upstream/pools.ts";
import { manualClock } from "./clock.ts";
import { Upstreams } from "./upstreams.ts";

/** A node that is a strategy. */
export type Tree = Exclude<Node, string>;

/** A place of a child that a kind asks for while it is built. */
interface Place {
  /** Name of the node there in traces, such as `tree/members[0]`. */
  readonly name: string;
  /** Where it stands below the root. */
  readonly path: Path;
  readonly child: Node;
  /** Strategies above it. */
  readonly depth: number;
}

/** A legal tree with the places in it. */
interface Grown {
  readonly tree: Tree;
  readonly places: readonly Place[];
  /** Strategies on the longest way down. */
  readonly height: number;
}

/** A tree that was built, and what stands below it. */
export interface Standing {
  readonly entry: Entry;
  readonly upstreams: Upstreams;
  /** The budgets that were set, by the name of their node. */
  readonly budgets: ReadonlyMap<string, BudgetLimits>;
}

/** Strategies that may stand above one another in a random tree. */
const DEEPEST = 3;
/** Upstream calls that a random tree may plan: larger ones cost time and show nothing new. */
const MOST_CALLS = 60;

const files = new URL("files/", import.meta.url).pathname;
const prices = { a: { in: 1, out: 2 }, b: { in: 2, out: 4 }, c: { in: 3, out: 6 } };

function put(node: unknown, path: Path, child: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return child;
  if (Array.isArray(node)) return node.map((item, index) => (index === step ? put(item, rest, child) : (item as unknown)));
  const fields = node as Readonly<Record<string, unknown>>;
  return { ...fields, [step]: put(fields[step], rest, child) };
}

/** A copy of the files that examples name, whose tables say for which embedder they were made. */
function copyFiles(): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-trees-"));
  for (const name of readdirSync(files)) {
    const text = readFileSync(join(files, name), "utf8");
    writeFileSync(
      join(folder, name),
      text.replaceAll(/(?<="model": ")([abc])"/g, (_, model: string) => `up/${model}"`),
    );
  }
  return folder;
}

/** All examples of a registry, grown into each other. */
export class Forest {
  readonly #registry: ReadonlyMap<string, Strategy>;
  readonly #folder = copyFiles();
  readonly #pools: Pools = openPools();
  readonly #examples = new Map<string, readonly Grown[]>();
  /** Trees that the catalog refused, and all that it was given, since the forest stands. */
  readonly count = { asked: 0, refused: 0 };

  private constructor(registry: ReadonlyMap<string, Strategy>) {
    this.#registry = registry;
  }

  /** Learns from the real catalog where each example has its children, and which of them may be strategies. */
  static async open(registry: ReadonlyMap<string, Strategy>): Promise<Forest> {
    const forest = new Forest(registry);
    for (const { kind, examples } of registry.values()) {
      const grown: Grown[] = [];
      for (const example of examples) grown.push(await forest.#learn(example as Tree));
      forest.#examples.set(kind, grown);
    }
    return forest;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  get kinds(): readonly string[] {
    return [...this.#registry.keys()];
  }

  async #catalog(tree: Tree, upstreams: Upstreams, registry: ReadonlyMap<string, Strategy>): Promise<Entry | undefined> {
    const config = checkConfig(
      {
        providers: { up: { kind: "scripted", models: ["a", "b", "c"], retry: { attempts: 1 }, prices } },
        models: { a: "up/a", b: "up/b", c: "up/c", tree },
      },
      {},
      { ...noOrigin, folder: this.#folder },
    );
    const registries = { strategies: registry, providers: new Map([["scripted", upstreams.provider]]) };
    const catalog = await buildCatalog(config, { pools: this.#pools, clock: manualClock(), warn: () => {}, registries });
    return catalog.get("tree");
  }

  /** Undefined when the catalog refuses the tree. */
  async #entry(tree: Tree, upstreams = new Upstreams(), registry = this.#registry): Promise<Entry | undefined> {
    try {
      return await this.#catalog(tree, upstreams, registry);
    } catch (thrown) {
      if (thrown instanceof ConfigError) return undefined;
      throw thrown;
    }
  }

  async #placesOf(tree: Tree): Promise<readonly Place[]> {
    const places = new Map<string, Place>();
    const noting = [...this.#registry].map(([kind, strategy]): [string, Strategy] => [
      kind,
      {
        ...strategy,
        build: (options, site) => {
          const path = readPath(site.path).slice(2);
          const child = (node: Node, at: string) => {
            const name = `${site.name}/${at.replace(/\.model$/, "")}`;
            places.set(name, { name, path: [...path, ...readPath(at)], child: node, depth: name.split("/").length - 1 });
            return site.child(node, at);
          };
          return strategy.build(options, { ...site, child });
        },
      },
    ]);
    await this.#entry(tree, new Upstreams(), new Map(noting));
    return [...places.values()];
  }

  async #learn(tree: Tree): Promise<Grown> {
    const places = await this.#placesOf(tree);
    const open: Place[] = [];
    for (const place of places) {
      const isOpen = typeof place.child !== "string" || (await this.#entry(put(tree, place.path, { kind: "retry", model: "a" }) as Tree));
      if (isOpen) open.push(place);
    }
    return { tree, places: open, height: Math.max(...places.map(({ depth }) => depth)) };
  }

  /** Any tree with a root of this kind. */
  trees(kind: string): fc.Arbitrary<Tree> {
    return this.#below(this.#examples.get(kind) ?? [], DEEPEST);
  }

  #below(from: readonly Grown[], room: number): fc.Arbitrary<Tree> {
    const fitting = from.filter(({ height }) => height <= room);
    return fc.constantFrom(...fitting).chain((grown) => this.#filled(grown, room));
  }

  #filled({ tree, places }: Grown, room: number): fc.Arbitrary<Tree> {
    const all = [...this.#examples.values()].flat();
    const free = places.filter(({ child, depth }) => typeof child === "string" && depth < room);
    const budgeted = places.filter(({ child }) => typeof child !== "string");
    const children = free.map(({ depth }) =>
      fc.oneof({ weight: free.length, arbitrary: fc.constant(undefined) }, { weight: 3, arbitrary: this.#below(all, room - depth) }),
    );
    const purse = fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: budget });
    const limits = budgeted.map(() => purse);
    return fc.tuple(purse, fc.tuple(...limits), fc.tuple(...children)).map(([own, purses, grafts]) => {
      let made: unknown = own ? { ...tree, budget: own } : tree;
      // Outer places first: what is put into an inner one must not be lost.
      budgeted.forEach(({ path }, index) => {
        if (purses[index]) made = put(made, [...path, "budget"], purses[index]);
      });
      free.forEach(({ path }, index) => {
        if (grafts[index]) made = put(made, path, grafts[index]);
      });
      return made as Tree;
    });
  }

  /** Builds a tree; undefined when it is not legal, or too large. */
  async stand(tree: Tree): Promise<Standing | undefined> {
    const upstreams = new Upstreams();
    this.count.asked += 1;
    const entry = await this.#entry(tree, upstreams);
    if (!entry) {
      this.count.refused += 1;
      return undefined;
    }
    if (entry.plan.calls[1] > MOST_CALLS) return undefined;
    const budgets = new Map<string, BudgetLimits>();
    if (JSON.stringify(tree).includes('"budget"')) {
      for (const { name, child } of [{ name: "tree", child: tree }, ...(await this.#placesOf(tree))]) {
        const limits = typeof child === "string" ? undefined : (child["budget"] as BudgetLimits | undefined);
        if (limits) budgets.set(name, limits);
      }
    }
    return { entry, upstreams, budgets };
  }
}

/** About one to a few calls of these models, whose usual answer is held as 1,024 tokens. */
const budget: fc.Arbitrary<BudgetLimits> = fc.oneof(
  fc.record({ calls: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ usd: fc.constantFrom(0.001, 0.004, 0.012, 0.04) }),
  fc.record({ tokens: fc.constantFrom(500, 1_500, 5_000, 20_000) }),
);

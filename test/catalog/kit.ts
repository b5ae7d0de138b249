import * as z from "zod";
import { buildCatalog } from "../../src/catalog/build.ts";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { ConfigError, type Problem } from "../../src/config/config-error.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Registries } from "../../src/config/schema.ts";
import { enter } from "../../src/model/call.ts";
import type { Model } from "../../src/model/model.ts";
import { open } from "../../src/model/open.ts";
import { defineProvider, type Provider } from "../../src/providers/define.ts";
import { retry } from "../../src/strategies/api/retry.ts";
import { defineStrategy, node, OptionError } from "../../src/strategies/define.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { manualClock } from "../support/clock.ts";
import { FakeModel, says } from "../support/fake-model.ts";

/** Asks its first child and holds nothing else: a panel as the catalog sees it. */
const pick = defineStrategy({
  kind: "pick",
  level: "text",
  summary: "Asks the first of several.",
  options: z.strictObject({
    members: z.array(z.union([node, z.strictObject({ model: node, weight: z.number().default(1) })])).min(1),
    quorum: z.strictObject({ min: z.number().int().default(1) }).prefault({}),
    samples: z.number().int().default(1),
  }),
  build({ members, quorum }, site) {
    const children = members.map((member, index) => {
      return typeof member === "object" && !("kind" in member)
        ? site.child(member.model, `members[${index}].model`)
        : site.child(member, `members[${index}]`);
    });
    if (quorum.min > members.length) throw new OptionError("quorum.min", `asks for ${quorum.min} of ${members.length}`);
    const [first] = children;
    if (!first) throw new OptionError("members", "is empty");
    return {
      name: site.name,
      async *stream(request, call) {
        const opening = await open(first, request, enter(call, { label: first.name }));
        if (!opening.ok) throw opening.error;
        yield* opening.events;
      },
    };
  },
  plan({ members, samples }, child) {
    const planned = members.map((member) => child(typeof member === "object" && !("kind" in member) ? member.model : member));
    const calls = planned.reduce((sum, { plan }) => sum + plan.calls[1], 0) * samples;
    return {
      calls: [1, calls],
      depth: 1,
      tail: "none",
      reads: true,
      edges: planned.map((one) => ({ role: "member", child: one })),
    };
  },
  examples: [],
});

/** Uses a prompt that is shipped: `repair`, with one place. */
const prompted = defineStrategy({
  kind: "prompted",
  level: "text",
  summary: "Answers its prompt.",
  options: z.strictObject({ model: node }),
  build({ model }, site) {
    site.child(model, "model");
    const prompt = site.prompt("repair");
    const variables = Object.fromEntries([["reason", "REASON"]]);
    return new FakeModel(site.name, says(prompt.fill(variables)));
  },
  plan: ({ model }, child) => ({
    calls: [1, 1],
    depth: 1,
    tail: "none",
    reads: true,
    edges: [{ role: "model", child: child(model) }],
  }),
  examples: [],
});

/** Leaves by name, so that a test can look at what they were asked. */
export type Leaves = Map<string, FakeModel>;

function fakeProvider(leaves: Leaves, extra: { readonly own?: readonly string[]; readonly pricedAs?: string } = {}): Provider {
  return defineProvider({
    kind: extra.own ? "owning" : extra.pricedAs ? "priced" : "fake",
    summary: "Scripted models.",
    options: z.strictObject({ apiKey: z.string().optional(), fails: z.boolean().default(false) }),
    build({ fails }, site) {
      if (fails) throw new Error("needs what it has not");
      return {
        ...extra,
        capabilities: (model) => (model === "clever" ? { tools: true } : {}),
        chat(model) {
          const name = `${site.name}/${model}`;
          const leaf = leaves.get(name) ?? new FakeModel(name);
          leaves.set(name, leaf);
          return leaf;
        },
      };
    },
  });
}

export interface Built {
  readonly catalog: Catalog;
  readonly leaves: Leaves;
  readonly warnings: readonly string[];
}

/** Builds a config over scripted providers (`fake`, `owning` with models of its own, `priced` with OpenAI's price list). */
export async function build(text: string, given: { readonly leaves?: Leaves; readonly path?: string } = {}): Promise<Built> {
  const leaves: Leaves = given.leaves ?? new Map<string, FakeModel>();
  const warnings: string[] = [];
  const providers = [fakeProvider(leaves), fakeProvider(leaves, { own: ["alto", "bass"] }), fakeProvider(leaves, { pricedAs: "openai" })];
  const registries: Registries = {
    strategies: new Map([pick, prompted, retry].map((strategy) => [strategy.kind, strategy])),
    providers: new Map(providers.map((provider) => [provider.kind, provider])),
  };
  const config = loadConfig({
    text,
    env: {},
    ...(given.path === undefined ? {} : { path: given.path }),
  });
  const catalog = await buildCatalog(config, {
    pools: openPools(),
    clock: manualClock(),
    warn: (message) => warnings.push(message),
    registries,
  });
  return { catalog, leaves, warnings };
}

/** Why a config can not be built. */
export async function problemsOf(text: string, path?: string): Promise<readonly Problem[]> {
  try {
    await build(text, path === undefined ? {} : { path });
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.problems;
    throw thrown;
  }
  throw new Error("the config was accepted");
}

/** The model of this name, which has to be there. */
export function modelOf(catalog: Catalog, name: string): Model {
  const entry = catalog.get(name);
  if (!entry) throw new Error(`there is no model ${name}`);
  return entry.model;
}

/** A strategy that does nothing but enter its child, as each does. */
export function entering(child: Model): Model {
  return {
    name: child.name,
    async *stream(request, call) {
      yield* child.stream(request, enter(call, { label: "child" }));
    },
  };
}

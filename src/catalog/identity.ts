import { createHash } from "node:crypto";
import { nodeCommon, splitKeys } from "../config/nodes.ts";
import type { Node, Strategy } from "../strategies/define.ts";

/** Where the names of a config lead. */
export interface Naming {
  readonly models: Readonly<Record<string, Node>>;
  readonly strategies: ReadonlyMap<string, Strategy>;
}

/** Enough to tell the nodes of one config apart, and short enough to be read in a message. */
const DIGITS = 12;

function isNode(value: object, { strategies }: Naming): value is Exclude<Node, string> {
  return "kind" in value && typeof value.kind === "string" && strategies.has(value.kind);
}

/** Options with defaults, so that what was left out equals what was written. What is not valid stays: the boot tells it. */
function settled({ kind, ...keys }: Exclude<Node, string>, { strategies }: Naming): object {
  const { common, rest } = splitKeys(keys, nodeCommon);
  const options = strategies.get(kind)?.options.safeParse(rest);
  return { ...common, ...(options?.success ? (options.data as object) : rest) };
}

/**
 * Which options hold nodes only the kinds know, so every string that is a model's name counts as that model. Where it was meant as a word, the
 * hash depends on more than it has to, and never on less. `above` are the names on the way here: such a word may lead back to itself.
 */
function spelt(value: unknown, naming: Naming, above: readonly string[]): unknown {
  if (typeof value === "string") return identified(value, naming, above);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => spelt(item, naming, above));
  if (isNode(value, naming)) return identified(value, naming, above);
  return entriesOf(value, naming, above);
}

function entriesOf(value: object, naming: Naming, above: readonly string[]): unknown {
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, spelt(inner, naming, above)]);
}

function identified(node: Node, naming: Naming, above: readonly string[]): string {
  if (typeof node === "string") {
    const named = Object.hasOwn(naming.models, node) && !above.includes(node) ? naming.models[node] : undefined;
    return named === undefined ? node : identified(named, naming, [...above, node]);
  }
  const text = JSON.stringify(entriesOf(settled(node, naming), naming, above));
  return `${node.kind}:${createHash("sha256").update(text).digest("hex").slice(0, DIGITS)}`;
}

/**
 * What a node comes to, for files that are made for certain nodes and no others: an upstream model is its name, anything else its kind and a
 * hash over its options and all nodes below. Aliases are followed. It follows from the config alone, so a job beside the gateway tells the same.
 */
export function identityOf(node: Node, naming: Naming): string {
  return identified(node, naming, []);
}

import { checkLabelled, meanCosts, readLabelled, type Labelled } from "../../panel/route/labelled.ts";
import { failedDecision } from "../../panel/route/memory.ts";
import {
  byClusters,
  byNeighbours,
  clustersOf,
  descending,
  type Cluster,
  type Point,
  type Trade,
  type Vector,
} from "../../panel/route/neighbours.ts";
import { TextVectors } from "../../panel/route/vectors.ts";
import { OptionError, type BuildSite } from "../define.ts";
import { CLUSTERS, modelOf, NEIGHBOURS, reading, type Decide, type EmbeddingOptions } from "./route-options.ts";

/** Vectors and clusters are worked out in this process, and nothing else runs meanwhile. */
const MOST_TEXTS = 5000;
const MOST_CLUSTERED = 2000;

function labelledOf(own: EmbeddingOptions, names: readonly string[], site: BuildSite): readonly Labelled[] {
  const given = own.labelled;
  const items = reading("labelled", () =>
    typeof given === "string" ? readLabelled(site.file(given, "labelled").toString("utf8"), names) : checkLabelled(given, names),
  );
  const most = own.method === "knn" ? MOST_TEXTS : MOST_CLUSTERED;
  if (items.length > most) throw new OptionError("labelled", `has ${items.length} texts; at most ${most} are worked with by ${own.method}`);
  return items;
}

/** What a call of usual size to each member costs, when the labelled texts do not tell. */
function costsOf(own: EmbeddingOptions, items: readonly Labelled[], site: BuildSite): readonly number[] {
  if (own.alpha === 1) return [];
  const told = meanCosts(items);
  if (told) return told;
  return own.members.map((given, index) => {
    const usd = site.prices.worstUsd(modelOf(given), { promptTokens: 1000, completionTokens: 500 });
    if (usd !== undefined) return usd;
    throw new OptionError(
      "alpha",
      `weighs cost, but no price of member ${index + 1} is known: set \`prices\`, or give \`costs\` with each text`,
    );
  });
}

type Known = ReadonlyMap<string, Vector>;

/** Each member's value for a query. What is made of the vectors is made once, while they stay the same. */
function valuer(own: EmbeddingOptions, items: readonly Labelled[], trade: Trade): (query: Vector, known: Known) => readonly number[] {
  const { clusters = CLUSTERS, k = NEIGHBOURS, method } = own;
  let made: { readonly of: Known; readonly points: readonly Point[]; readonly clusters: readonly Cluster[] } | undefined;
  const make = (of: Known) => {
    const points = items.flatMap(({ text, scores }): readonly Point[] => {
      const vector = of.get(text);
      return vector ? [{ vector, scores }] : [];
    });
    return { of, points, clusters: method === "clusters" ? clustersOf(points, clusters, trade) : [] };
  };
  return (query, known) => {
    if (made?.of !== known) made = make(known);
    if (method === "knn") return byNeighbours(query, made.points, k, trade);
    return byClusters(query, made.clusters, own.members.length);
  };
}

function checkMethod({ clusters, k, method }: EmbeddingOptions): void {
  if (method !== "knn" && k !== undefined) throw new OptionError("k", "goes with `method: knn`");
  if (method !== "clusters" && clusters !== undefined) throw new OptionError("clusters", "goes with `method: clusters`");
}

/** The members' grades on texts that are like the deciding message. */
export function decideByEmbedding(own: EmbeddingOptions, names: readonly string[], site: BuildSite): Decide {
  checkMethod(own);
  const items = labelledOf(own, names, site);
  const valuesOf = valuer(own, items, { alpha: own.alpha, costs: costsOf(own, items, site) });
  const vectors = new TextVectors(
    site.embedder(own.embedder, "embedder"),
    site.store,
    items.map(({ text }) => text),
  );
  return async ({ view, call }, signal) => {
    const query = await vectors.embed(view.text, call, signal);
    if (!query.ok) return failedDecision(`embedder: ${query.error.code}`);
    const values = valuesOf(query.vector, query.known);
    return { choice: descending(values)[0], told: { values: values.map((value) => Number(value.toFixed(4))) } };
  };
}

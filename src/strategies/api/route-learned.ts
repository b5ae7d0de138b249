import { enter } from "../../model/call.ts";
import { failedDecision } from "../../panel/route/memory.ts";
import { embedded } from "../../panel/route/vectors.ts";
import { misfit, readRouterTable, thresholdFor, winRate, type RouterTable } from "../../panel/route/table.ts";
import { OptionError, type BuildSite } from "../define.ts";
import { reading, type Decide, type LearnedOptions } from "./route-options.ts";

function thresholdOf({ threshold, strongShare = 0 }: LearnedOptions, { winRates }: RouterTable): number {
  if (threshold !== undefined) return threshold;
  if (winRates.length === 0)
    throw new OptionError("strongShare", "the table has no sample of win rates to calibrate on; give a `threshold`");
  return thresholdFor(winRates, strongShare);
}

/** The strong member answers where it is likely enough to win. */
export function decideByTable(own: LearnedOptions, [weak = "", strong = ""]: readonly string[], site: BuildSite): Decide {
  const model = site.embedder(own.embedder, "embedder");
  const table = reading("table", () => readRouterTable(site.file(own.table, "table").toString("utf8")));
  const why = misfit(table, { members: [weak, strong], embedder: model.name });
  if (why !== undefined) throw new OptionError("table", why);
  const threshold = thresholdOf(own, table);
  return async ({ view, call }, signal) => {
    const query = await embedded(model, view.text, enter(call, { label: "embedder", member: true, delivery: "unary", signal }));
    if (!query.ok) return failedDecision(`embedder: ${query.error.code}`);
    const { length } = query.vector;
    if (length !== table.embedder.dimensions)
      return failedDecision(`embedder: ${length} numbers where the table has ${table.embedder.dimensions}`);
    const rate = winRate(table, query.vector);
    // JSON has no infinity.
    const told = { winRate: Number(rate.toFixed(5)), threshold: Number.isFinite(threshold) ? threshold : "none" };
    return { choice: rate >= threshold ? 1 : 0, told };
  };
}

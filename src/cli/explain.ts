import { readFileSync } from "node:fs";
import type { Explained, ExplainedLeg, ExplainedWay } from "../catalog/explain.ts";
import type { Config } from "../config/config.ts";
import { didYouMean } from "../config/nearest.ts";
import { GatewayError } from "../model/errors.ts";
import { authenticator } from "../http/auth.ts";
import { explainRequest } from "../http/explain.ts";
import { openConfigured } from "./catalog.ts";
import { configOption, type Command } from "./command.ts";
import { UsageError } from "./usage-error.ts";

/** What is explained where no request is given. */
const usual = { messages: [{ role: "user", content: "Hello" }], stream: true };

function readRequest(model: string, path: string | undefined): Buffer {
  try {
    const body: unknown = path === undefined ? usual : JSON.parse(readFileSync(path, "utf8"));
    const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
    return Buffer.from(JSON.stringify(isObject ? { ...body, model } : body));
  } catch (thrown) {
    const why =
      thrown instanceof SyntaxError ? "is not valid JSON" : `can not be read (${(thrown as NodeJS.ErrnoException).code ?? "unknown"})`;
    throw new UsageError(`${path ?? "the request"} ${why}`);
  }
}

/** The key of this name; without one, somebody who may do everything. */
function askerOf(name: unknown, { keys }: Config): ReturnType<ReturnType<typeof authenticator>> {
  if (typeof name !== "string") return authenticator([])(undefined, true);
  const known = keys.find((key) => key.name === name);
  if (!known)
    throw new UsageError(
      `there is no key "${name}"${didYouMean(
        name,
        keys.map((key) => key.name),
      )}`,
    );
  const { key, models, maxMultiplier } = known;
  const found = { name, key, models, limits: {}, ...(maxMultiplier === undefined ? {} : { maxMultiplier }) };
  return authenticator([found])(`Bearer ${key}`, false);
}

function range([best, worst]: ExplainedWay["calls"]): string {
  return best === worst ? String(best) : `${best}..${worst}`;
}

function usd(worst: number | null): string {
  return worst === null ? "price unknown" : `at worst ${Number(worst.toPrecision(3))} USD`;
}

function titleOf({ title, kind }: ExplainedWay): string {
  return kind === "leaf" || kind === title ? title : `${title} (${kind})`;
}

function* tree({ ways }: ExplainedWay, indent: string): Generator<string> {
  for (const [index, way] of ways.entries()) {
    const isLast = index === ways.length - 1;
    const below = `${indent}${isLast ? "   " : "│  "}`;
    const role = way.role === undefined ? "" : `${way.role}: `;
    yield `${indent}${isLast ? "└─" : "├─"} ${role}${titleOf(way)}${way.state === "certain" ? "" : ", maybe"}`;
    for (const note of way.notes) yield `${below}${note}`;
    yield* tree(way, below);
  }
}

function legLine({ model, state, calls, attempts, worstUsd }: ExplainedLeg): string {
  const times = `${state === "certain" ? "" : "maybe, "}${calls} call${calls === 1 ? "" : "s"} at most`;
  const again = attempts === 1 ? "" : ` (${attempts} attempts${calls === 1 ? "" : " each"} where it fails)`;
  return `    ${model}: ${times}${again}, ${usd(worstUsd)}`;
}

function* report({ plan, way, legs, worstUsd, costCoverage }: Explained): Generator<string> {
  const streams = plan.tail === "none" ? "nothing streams" : `streams ${plan.tail}`;
  const tools = plan.tools === "refused" ? "turns with tools are refused" : `turns with tools: ${plan.tools}`;
  const known = costCoverage === 1 || worstUsd === null ? "" : ` for the ${Math.round(costCoverage * 100)} % of calls whose price is known`;
  yield titleOf(way);
  yield `  calls ${range(plan.calls)}, depth ${plan.depth}, ${streams}, ${tools}`;
  const once = worstUsd === null || legs.every(({ attempts }) => attempts === 1) ? "" : ", without retries";
  yield `  ${usd(worstUsd)}${known}${once}`;
  for (const note of way.notes) yield `  ${note}`;
  yield* tree(way, "  ");
  yield "  legs";
  for (const leg of legs) yield legLine(leg);
  yield "";
}

export const explain: Command = {
  name: "explain",
  summary: "Says which way a request would take and what it may cost, and sends nothing: explain <model> [request.json].",
  takes: "<model> [request.json]",
  options: { ...configOption, json: { type: "boolean" }, key: { type: "string" } },
  async run({ args = [], flags = {}, ...site }) {
    const { io } = site;
    const [model, path, ...more] = args;
    if (model === undefined || more.length > 0)
      throw new UsageError("explain: expected a model and at most one file: chorale explain <model> [request.json]");
    const { config, catalog } = await openConfigured(site);
    if (!catalog.get(model)) {
      const near = catalog.nearest(model).map((name) => `"${name}"`);
      const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "; chorale models lists what there is";
      throw new UsageError(`explain: there is no model "${model}"${hint}`);
    }
    try {
      const asker = askerOf(flags["key"], config);
      const explained = explainRequest({ served: { catalog }, asker, header: () => undefined, startMs: 0 }, {}, readRequest(model, path));
      io.out(flags["json"] === true ? `${JSON.stringify(explained, null, 2)}\n` : [...report(explained)].join("\n"));
      for (const warning of explained.warnings) io.err(`warning: ${warning}\n`);
      return 0;
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown;
      io.err(`${thrown.message}\n`);
      return 1;
    }
  },
};

import { identityOf } from "../catalog/identity.ts";
import { splitKeys, nodeCommon } from "../config/nodes.ts";
import { gateSamples, type GateSample } from "../learn/cascade-samples.ts";
import { chooseThreshold, thresholdTable, type CascadeGate, type Chosen, type Target } from "../learn/cascade-thresholds.ts";
import { LearnError } from "../learn/learn-error.ts";
import { traitsOf, type StepOptions } from "../strategies/api/cascade-traits.ts";
import { strategies } from "../strategies/registry.ts";
import type { Command, CommandSite } from "./command.ts";
import { UsageError } from "./usage-error.ts";
import { configOf, leastOf, materialOf, materialOptions, neededText, numberOption, warnOfUnused } from "./learn-material.ts";
import { columns, deliver, percent, toJson } from "./learn-report.ts";

const { members: _, ...options } = materialOptions;

interface Cascade {
  /** Who answers in each step, as a table tells it. */
  readonly models: readonly string[];
  readonly gates: readonly (CascadeGate & { readonly step: string })[];
}

const decided = new Set(["schema", "ask"]);

function cascadeOf(site: CommandSite, name: string): Cascade {
  const models = configOf(site)?.models ?? {};
  const node = models[name];
  if (typeof node !== "object" || node.kind !== "cascade") {
    throw new LearnError(`the config has no cascade of the name ${name}; its gates are needed, and thresholds are learned for no others`);
  }
  const { kind: _, ...rest } = splitKeys(node, nodeCommon).rest as { readonly kind: string };
  const parsed = strategies.get("cascade")?.options.safeParse(rest);
  if (!parsed?.success) throw new LearnError(`models.${name} is no valid cascade: \`chorale check\` tells why`);
  const { steps } = parsed.data as { readonly steps: readonly StepOptions[] };
  const traits = traitsOf(steps, (given) => identityOf(given, { models, strategies }));
  // Every step but the last has a gate.
  const gates = traits.gates.map((gate, index) => ({ gate, takesMin: !decided.has(gate.by), step: `step ${index + 1}` }));
  return { models: traits.models, gates };
}

function targetOf(site: CommandSite): Target {
  const share = numberOption(site, "share", [0, 1]);
  const accuracy = numberOption(site, "accuracy", [0, 1]);
  if ((share === undefined) === (accuracy === undefined)) {
    throw new UsageError("learn: give either `--share`, of the answers that a gate accepts, or `--accuracy`, of those that it accepted");
  }
  return share === undefined ? { accuracy: accuracy ?? 1 } : { share };
}

function lineOf(step: string, by: string, chosen: Chosen | undefined): readonly string[] {
  if (!chosen) return [step, by, "decides by itself", "", ""];
  const { min, accepted, total, graded, right } = chosen;
  const accuracy = graded === 0 ? "no grades" : `${right} of ${graded} right (${percent(right / graded)})`;
  return [step, by, String(min), `${accepted} of ${total} accepted (${percent(accepted / total)})`, accuracy];
}

async function learnThresholds(site: CommandSite): Promise<number> {
  const name = neededText(site, "model");
  const target = targetOf(site);
  const { models, gates } = cascadeOf(site, name);
  const { history, grader } = materialOf(site);
  const places = gates.map(({ step, gate: { by } }) => ({ step, by }));
  const samples = gateSamples(history, name, places, grader);
  warnOfUnused(site, grader);
  const chosen = gates.map(({ takesMin, step }, index) =>
    takesMin ? chooseAt(step, samples[index] ?? [], target, leastOf(site)) : undefined,
  );
  const rows = gates.map(({ step, gate }, index) => lineOf(step, gate.by, chosen[index]));
  deliver(
    site,
    toJson(thresholdTable(models, gates, chosen)),
    columns([["step", "gate", "threshold", "accepts", "accepted answers"], ...rows]),
  );
  return 0;
}

function chooseAt(step: string, samples: readonly GateSample[], target: Target, least: number): Chosen {
  try {
    return chooseThreshold(samples, target, least);
  } catch (thrown) {
    if (thrown instanceof LearnError) throw new LearnError(`${step}: ${thrown.message}`);
    throw thrown;
  }
}

export const learnThresholdsCommand: Command = {
  name: "learn cascade-thresholds",
  summary: "Thresholds of a `cascade`.",
  options: { ...options, model: { type: "string" }, share: { type: "string" }, accuracy: { type: "string" } },
  run: learnThresholds,
};

import type { Plan, Planned } from "../model/plan.ts";
import { tailOf } from "../panel/tail.ts";
import type { Foresight } from "../strategies/define.ts";
import type { Entry } from "./catalog.ts";
import { completionTokens, promptTokens } from "./estimate.ts";
import { price, type Priced } from "./explain-price.ts";
import { Foreteller, type Foreseen, type Sources } from "./explain-way.ts";

/** A place on the way of a request, with what is known of it. */
export interface ExplainedWay {
  /** The part that it plays for its parent. */
  readonly role?: string;
  readonly title: string;
  readonly kind: string;
  readonly state: "certain" | "possible";
  /** Upstream calls at best and at worst. */
  readonly calls: Plan["calls"];
  readonly notes: readonly string[];
  readonly ways: readonly ExplainedWay[];
}

export interface ExplainedLeg {
  /** `provider/model`. */
  readonly model: string;
  /** Asked in any case, as long as nothing fails; or only maybe. */
  readonly state: "certain" | "possible";
  /** At most, where none fails. */
  readonly calls: number;
  /** How often its provider makes each of them at most where it fails; `calls` and `worstUsd` do not count it. */
  readonly attempts: number;
  /** US dollars at worst; null where its price is unknown. */
  readonly worstUsd: number | null;
}

/** What a request would do, told without doing it. */
export interface Explained {
  readonly model: string;
  readonly kind: string;
  readonly plan: {
    readonly calls: Plan["calls"];
    readonly depth: number;
    /** Whose tokens stream, for this request. */
    readonly tail: string;
    /** Who answers turns with tools. */
    readonly tools: string;
  };
  readonly way: ExplainedWay;
  readonly legs: readonly ExplainedLeg[];
  /** US dollars at worst, of the calls whose price is known; null where none is. */
  readonly worstUsd: number | null;
  /** Share of the calls whose price is known. */
  readonly costCoverage: number;
  readonly warnings: readonly string[];
}

/** What the request allows itself. */
export interface Allowed {
  readonly usd?: number | undefined;
  readonly calls?: number | undefined;
}

/** Tells a request's way through a model. Throws the error of a request that is refused at once. */
export type Explain = (entry: Entry, asked: Foresight, allowed?: Allowed) => Explained;

function toWay({ planned, kind, notes, ways }: Foreseen, role: string | undefined, certain: boolean): ExplainedWay {
  return {
    ...(role === undefined ? {} : { role }),
    title: planned.title,
    kind,
    state: certain ? "certain" : "possible",
    calls: planned.plan.calls,
    notes,
    ways: ways.map((way) => toWay(way.to, way.role, certain && way.certain)),
  };
}

function* refusals({ planned, refused, ways }: Foreseen): Generator<string> {
  if (refused) yield `${planned.title} would refuse this request: ${refused.message}`;
  for (const { to } of ways) yield* refusals(to);
}

function toLegs({ legs }: Priced, usd: number, most: number): readonly ExplainedLeg[] {
  return [...legs].map(([model, leg]) => {
    const calls = Math.min(leg.calls, most);
    return {
      model,
      state: leg.certain ? "certain" : "possible",
      calls,
      attempts: leg.attempts,
      worstUsd: leg.usd === undefined ? null : rounded(Math.min(leg.usd * calls, usd)),
    };
  });
}

/** Without the noise of binary fractions. */
function rounded(usd: number): number {
  return Number(usd.toPrecision(12));
}

function coverageOf(legs: readonly ExplainedLeg[]): number {
  const count = (some: readonly ExplainedLeg[]) => some.reduce((sum, { calls }) => sum + calls, 0);
  const all = count(legs);
  return all === 0 ? 1 : count(legs.filter(({ worstUsd }) => worstUsd !== null)) / all;
}

function bounded([best, worst]: Plan["calls"], most = Infinity): Plan["calls"] {
  return [Math.min(best, most), Math.min(worst, most)];
}

/** What tells the way of requests through models that were built from these. */
export function explainer(sources: Sources): Explain {
  return (entry, asked, { usd: maxUsd = Infinity, calls: maxCalls } = {}) => {
    const { request, call } = asked;
    const unable = entry.model.unable?.(request);
    if (unable) throw unable;
    const root: Planned = { title: entry.name, plan: entry.plan };
    const seen = new Foreteller(sources, asked).foresee(root);
    if (seen.refused) throw seen.refused;
    const { plan } = seen.planned;
    const choices = Math.max(1, request.body.n ?? 1);
    const priced = price(seen, { prompt: promptTokens(request), completion: completionTokens(request) / choices });
    const usd = Math.min(priced.usd, maxUsd);
    const calls = bounded(plan.calls, maxCalls);
    const legs = toLegs(priced, usd, calls[1]);
    const costCoverage = coverageOf(legs);
    const unpriced = legs.filter(({ worstUsd }) => worstUsd === null).map(({ model }) => model);
    return {
      model: entry.name,
      kind: entry.kind,
      plan: {
        calls,
        depth: plan.depth,
        tail: request.body.stream === true ? tailOf({ title: entry.name, plan }) : "none",
        tools: plan.tools ?? entry.name,
      },
      way: toWay(seen, undefined, true),
      legs,
      worstUsd: costCoverage === 0 ? null : rounded(usd),
      costCoverage,
      warnings: [
        ...call.trace.warnings,
        ...refusals(seen),
        ...(unpriced.length > 0 ? [`no price is known of ${unpriced.join(", ")}`] : []),
      ],
    };
  };
}

import type { LegRecord, RecordedSpan } from "../model/history.ts";
import type { Grader } from "./grades.ts";
import { gradableOf, type History } from "./questions.ts";

/** One answer that came to a gate. */
export interface GateSample {
  /** What the gate measured; undefined when the answer came without it, so that no threshold accepts it. */
  readonly measured: number | undefined;
  /** What it may have come to, where it is an agreement that was only counted as far as the gate of that time needed. */
  readonly atMost?: number | undefined;
  /** Grade of the answer; undefined when it has none. */
  readonly score: number | undefined;
}

/** What a cascade notes of each step. */
interface StepNote {
  readonly step: string;
  readonly outcome: string;
  readonly by?: string;
  readonly measured?: number;
  readonly atMost?: number;
}

interface Found {
  readonly span: RecordedSpan;
  /** Labels from the model that was asked for down to the cascade. */
  readonly path: readonly string[];
}

/** Every cascade of this node in a trace. */
function* cascadesIn(span: RecordedSpan, node: string, above: readonly string[] = []): Generator<Found> {
  const path = [...above, span.label];
  if (span.kind === "cascade" && span.node === node) yield { span, path };
  for (const child of span.children ?? []) yield* cascadesIn(child, node, path);
}

function notesOf({ decision }: RecordedSpan): readonly StepNote[] {
  const steps = decision?.["steps"];
  return Array.isArray(steps) ? (steps as readonly StepNote[]) : [];
}

/** The leg whose text a step answered with: its only one, or the winner of its vote. */
function legOf(legs: readonly LegRecord[], { span, path }: Found, step: string): LegRecord | undefined {
  const place = [...path, step];
  const below = legs.filter((leg) => leg.status === "ok" && leg.does === undefined && place.every((label, at) => leg.path[at] === label));
  const own = below.findLast((leg) => leg.path.length === place.length);
  const winner = span.children?.find(({ label }) => label === step)?.decision?.["winner"];
  return own ?? below.findLast((leg) => leg.path[place.length] === winner);
}

/** A gate of a cascade in the config: which step it stands behind and how it measures. */
export interface GatePlace {
  /** `step 1` and so on. */
  readonly step: string;
  readonly by: string;
}

/**
 * What came to each gate of a cascade, in the order of the gates. Later gates only saw what earlier ones refused. Notes of a gate that measured
 * otherwise are of an older config, and left out.
 */
export function gateSamples(
  history: History,
  node: string,
  gates: readonly GatePlace[],
  grader: Grader,
): readonly (readonly GateSample[])[] {
  const samples: GateSample[][] = gates.map(() => []);
  const legs = Map.groupBy(history.legs, ({ requestId }) => requestId);
  for (const request of history.requests) {
    if (!request.trace) continue;
    const own = legs.get(request.requestId) ?? [];
    for (const found of cascadesIn(request.trace, node)) {
      for (const note of notesOf(found.span)) {
        const at = gates.findIndex(({ step, by }) => step === note.step && by === note.by);
        if (at < 0 || note.outcome === "failed") continue;
        const leg = legOf(own, found, note.step);
        const score = leg && grader.scoreOf(gradableOf(leg, request, own.length === 1));
        samples[at]?.push({ measured: note.measured, atMost: note.atMost, score });
      }
    }
  }
  return samples;
}

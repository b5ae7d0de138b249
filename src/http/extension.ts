import type { Call } from "../model/call.ts";
import type { Span } from "../model/trace.ts";
import { wireUsage } from "./openai/usage.ts";

type Json = Record<string, unknown>;

/** A leg with the name of the seat that it sat on; what a retry calls its attempts says nothing to a reader. */
interface Seated {
  readonly label: string;
  readonly span: Span;
}

function leavesOf(span: Span, parent: Span): readonly Seated[] {
  const label = parent.kind === "retry" ? parent.label : span.label;
  if (span.upstream !== undefined) return [{ label, span }];
  return span.children.flatMap((child) => leavesOf(child, span));
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** Without the noise of floating-point sums: twelve decimals are more than any price has. */
export function cleanUsd(usd: number): number {
  return Math.round(usd * 1e12) / 1e12;
}

function timings(span: Span, startMs: number): Json {
  return {
    startMs: round(span.startMs - startMs),
    ...(span.firstMs === undefined ? {} : { firstMs: round(span.firstMs - startMs) }),
    ...(span.endMs === undefined ? {} : { ms: round(span.endMs - span.startMs) }),
  };
}

function leg(span: Span, startMs: number): Json {
  return {
    label: span.label,
    model: span.upstream,
    status: span.status,
    ...(span.error ? { error: span.error } : {}),
    ...(span.cut ? { cut: true } : {}),
    ...(span.usage ? { usage: wireUsage(span.usage) } : {}),
    ...(span.estimated ? { estimated: true } : {}),
    ...(span.usd === undefined ? {} : { usd: cleanUsd(span.usd) }),
    ...timings(span, startMs),
  };
}

function tree(span: Span, startMs: number): Json {
  return {
    ...(span.upstream === undefined
      ? {
          label: span.label,
          node: span.node,
          kind: span.kind,
          status: span.status,
          ...(span.cut ? { cut: true } : {}),
          ...timings(span, startMs),
        }
      : leg(span, startMs)),
    ...(span.decision ? { decision: span.decision } : {}),
    ...(span.text === undefined ? {} : { text: span.text }),
    ...(span.calls === undefined ? {} : { calls: span.calls }),
    ...(span.children.length > 0 ? { children: span.children.map((child) => tree(child, startMs)) } : {}),
  };
}

/** The kinds on the way to the answer, outermost first. */
function path(span: Span): readonly string[] {
  // The retries that a provider puts round its leaf bear the leaf's name: nobody wrote that node.
  const unwritten = span.kind === undefined || span.kind === "leaf" || span.children.some((child) => child.upstream === span.node);
  const kinds = unwritten ? [] : [span.kind ?? ""];
  const last = answering(span);
  return last ? [...kinds, ...path(last)] : kinds;
}

/** The child whose answer this is: the one that the strategy named, else the last one that did not fail. */
function answering(span: Span): Span | undefined {
  // Nobody's: an option that was drawn, parts that were joined.
  if (span.decision?.["answered"] === null) return undefined;
  const named = span.decision?.["winner"] ?? span.decision?.["answered"] ?? span.decision?.["accepted"];
  const winner = typeof named === "string" ? span.children.find((child) => child.label === named) : undefined;
  if (winner) return winner;
  // A loop and no closure: it is asked of every answer, several times.
  for (let last = span.children.length - 1; last >= 0; last -= 1) {
    const child = span.children[last];
    if (child?.status === "ok" || child?.status === "running") return child;
  }
  return undefined;
}

/** `provider/model` of the leaf whose text the answer is, where it is one leaf's. */
export function answeringLeaf(span: Span): string | undefined {
  if (span.upstream !== undefined) return span.upstream;
  const child = answering(span);
  return child && answeringLeaf(child);
}

/** Whether the answer only says that there is none: a node on the way to it abstained. */
export function hasAbstained(span: Span): boolean {
  if (span.decision?.["abstained"] === true) return true;
  const child = answering(span);
  return child !== undefined && hasAbstained(child);
}

/** The first decision on the way down: what the outermost panel decided. */
function decision(span: Span): Json | undefined {
  if (span.decision) return { kind: span.kind, ...span.decision };
  const child = answering(span);
  return child && decision(child);
}

/**
 * Why the answer is what it is: strategy, decision, members with status, usage, cost and timings; in `full` the whole tree with texts and
 * verdicts.
 */
export function extensionOf(call: Pick<Call, "id" | "ledger" | "trace">, expose: "summary" | "full", nowMs?: number): Json {
  const { root } = call.trace;
  const { coverage } = call.ledger.cost();
  const usd = call.ledger.knownUsd();
  const top = root.children[0] ?? root;
  const decided = decision(top);
  return {
    requestId: call.id,
    strategy: path(top),
    ...(decided ? { decision: decided } : {}),
    members: root.children.flatMap((child) => leavesOf(child, root)).map(({ label, span }) => ({ ...leg(span, root.startMs), label })),
    degraded: call.trace.degraded,
    warnings: call.trace.warnings,
    costUsd: usd === undefined ? null : cleanUsd(usd),
    costCoverage: coverage,
    ms: round((root.endMs ?? nowMs ?? top.endMs ?? root.startMs) - root.startMs),
    ...(expose === "full" ? { trace: tree(top, root.startMs) } : {}),
  };
}

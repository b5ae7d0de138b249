import type { Usage } from "./usage.ts";
import type { ErrorCode } from "./errors.ts";

/** What became of a span. `lost` is a leg that its strategy no longer wanted. */
export type SpanStatus = "running" | "ok" | "failed" | "lost";

/** Of all spans without children. */
const none: readonly Span[] = [];

/** A span with all its fields from the start: every span has one shape, and what is learnt of it later has its place. */
class OpenSpan {
  /** What the parent calls it: a member's label, `writer`, `step 2`. */
  readonly label: string;
  /** Path of the node in the config. Set by `observe`. */
  node?: string;
  kind?: string;
  /** `provider/model`, on leaves. */
  upstream?: string;
  readonly startMs: number;
  firstMs?: number;
  endMs?: number;
  status: SpanStatus = "running";
  error?: { readonly code: ErrorCode; readonly message: string };
  /** Leaves: the request went out, so it may have cost something. */
  sent?: boolean;
  /** Leaves: what the leg cost. When it was cut, what it wrote so far, with `estimated`. */
  usage?: Usage;
  usd?: number;
  /** The usage was estimated, not reported. */
  estimated?: boolean;
  /** Its answer stopped at a limit. Noted by panels, in which such an answer counts less. */
  cut?: boolean;
  /** Text of the answer; kept only where the request may see it. */
  text?: string;
  /** What the answer calls, a call a line: kept with the text. */
  calls?: string;
  /** What the strategy decided and why; plain JSON. */
  decision?: Readonly<Record<string, unknown>>;
  /** Grows by `openSpan` alone. */
  children: readonly Span[] = none;

  constructor(label: string, startMs: number) {
    this.label = label;
    this.startMs = startMs;
  }
}

/** One node's part in a request. Mutable while the request runs; the tree of spans is the trace. */
export type Span = Pick<OpenSpan, keyof OpenSpan>;

/** Facts about the whole request that any node may add to. */
export interface Trace {
  readonly root: Span;
  /** Why the answer is of a lower kind than configured. */
  readonly degraded: string[];
  readonly warnings: string[];
  /** Keep candidates' texts (`expose: full`). */
  readonly keepTexts: boolean;
}

/** Opens a span below `parent`. */
export function openSpan(parent: Span, label: string, startMs: number): Span {
  const span = new OpenSpan(label, startMs);
  const { children } = parent;
  // Most have one, and an array that grows takes room for sixteen.
  if (children.length === 0) parent.children = [span];
  else (children as Span[]).push(span);
  return span;
}

/** A trace with an open root. */
export function newTrace(startMs: number, keepTexts: boolean): Trace {
  return {
    root: new OpenSpan("request", startMs),
    degraded: [],
    warnings: [],
    keepTexts,
  };
}

import { textRemover } from "../catalog/record-decision.ts";
import type { Call } from "../model/call.ts";
import { newLedger } from "../model/ledger.ts";
import { openSpan, newTrace, type Span } from "../model/trace.ts";
import { KeptText, type KeptJson } from "../store/store.ts";
import { extensionOf } from "./extension.ts";
import { wireUsage } from "./openai/usage.ts";

type Json = Record<string, unknown>;
type Told = Pick<Call, "id" | "identity" | "ledger" | "trace">;

function tell({ id, identity, ledger, trace }: Told, outcome: Json): Json {
  const usage = ledger.usage();
  return {
    ...outcome,
    model: identity.model,
    ...(usage ? { usage: wireUsage(usage) } : {}),
    ...extensionOf({ id, ledger, trace }, "full"),
  };
}

/** Tenths of a millisecond since the start, as a small integer: a float would be one more object to keep. */
function tenths(ms: number | undefined, startMs: number): number {
  return ms === undefined ? -1 : Math.round((ms - startMs) * 10);
}

/**
 * A request that one leg answered, the common case, as a handful of small values. Thousands of whole traces would cost the garbage collector
 * more than all the rest of a plain request.
 */
class PlainRecord implements KeptJson {
  readonly #id: string;
  readonly #model: string;
  readonly #kinds: readonly [outer: string | undefined, node: string | undefined];
  readonly #label: string;
  readonly #leg: Call["ledger"]["legs"][number];
  readonly #status: number;
  readonly #stream: boolean;
  readonly #startMs: number;
  readonly #firstMs: number;
  readonly #endMs: number;
  readonly #totalMs: number;

  constructor(
    told: Told,
    spans: { readonly outer: Span; readonly leaf: Span },
    outcome: { readonly status: number; readonly stream: boolean },
  ) {
    const { startMs, endMs } = told.trace.root;
    const { outer, leaf } = spans;
    const [leg] = told.ledger.legs;
    if (!leg) throw new Error("a plain request has one leg");
    this.#id = told.id;
    this.#model = told.identity.model;
    this.#kinds = outer === leaf ? leafOnly : retried(outer.node);
    this.#label = outer.label;
    this.#leg = leg;
    this.#status = outcome.status;
    this.#stream = outcome.stream;
    this.#startMs = tenths(leaf.startMs, startMs);
    this.#firstMs = tenths(leaf.firstMs, startMs);
    this.#endMs = tenths(leaf.endMs, startMs);
    this.#totalMs = tenths(endMs, startMs);
  }

  /** About what its fields hold. */
  get size(): number {
    return 300;
  }

  json(): string {
    const trace = newTrace(0, false);
    const [kind, node] = this.#kinds;
    trace.root.endMs = this.#totalMs / 10;
    const startMs = this.#startMs / 10;
    let span = openSpan(trace.root, this.#label, startMs);
    const endMs = this.#endMs / 10;
    if (kind !== undefined) {
      Object.assign(span, { kind, node, status: "ok", firstMs: this.#firstMs / 10, endMs });
      span = openSpan(span, "attempt 1", startMs);
    }
    const { upstream, usage, usd, estimated } = this.#leg;
    Object.assign(span, {
      kind: "leaf",
      node: upstream,
      upstream,
      status: "ok",
      firstMs: this.#firstMs / 10,
      endMs,
      usage,
      usd,
      estimated,
    });
    const ledger = newLedger();
    ledger.add(this.#leg);
    const identity = { id: "", model: this.#model, created: 0 };
    return JSON.stringify(tell({ id: this.#id, identity, ledger, trace }, { status: this.#status, stream: this.#stream }));
  }
}

const leafOnly = [undefined, undefined] as const;
const retriedKinds = new Map<string | undefined, readonly ["retry", string | undefined]>();

/** One shared pair per leaf. Bounded by the leaves that exist. */
function retried(node: string | undefined): readonly ["retry", string | undefined] {
  let kinds = retriedKinds.get(node);
  if (!kinds) {
    if (retriedKinds.size > 1000) retriedKinds.clear();
    kinds = ["retry", node];
    retriedKinds.set(node, kinds);
  }
  return kinds;
}

/** The two spans of a request that one leg answered at the first attempt; undefined for any other. */
function plainSpans({ trace, ledger }: Told): { readonly outer: Span; readonly leaf: Span } | undefined {
  const [outer] = trace.root.children;
  const isPlain =
    outer && trace.root.children.length === 1 && ledger.legs.length === 1 && trace.degraded.length + trace.warnings.length === 0;
  if (!isPlain || outer.decision || outer.status !== "ok" || outer.text !== undefined) return undefined;
  if (outer.upstream !== undefined) return { outer, leaf: outer };
  const [leaf] = outer.children;
  return outer.kind === "retry" && outer.children.length === 1 && leaf?.upstream !== undefined && leaf.status === "ok"
    ? { outer, leaf }
    : undefined;
}

/** Leaves nothing in a span that was said. In place: the request is over, and nobody else reads its trace. */
function forgetTexts(span: Span, withoutTexts: (decision: NonNullable<Span["decision"]>) => NonNullable<Span["decision"]>): void {
  if (span.text !== undefined) delete span.text;
  if (span.calls !== undefined) delete span.calls;
  if (span.decision) span.decision = withoutTexts(span.decision);
  for (const child of span.children) forgetTexts(child, withoutTexts);
}

/** Keeps what may be asked about a request, and nothing else of it: no text of a message or an answer. Takes the texts out of its trace. */
export function recordOf(call: Told, outcome: { readonly status: number; readonly stream: boolean; readonly error?: unknown }): KeptJson {
  const spans = outcome.error === undefined ? plainSpans(call) : undefined;
  if (spans) return new PlainRecord(call, spans, outcome);
  forgetTexts(call.trace.root, textRemover(call.trace.root));
  // As text at once: the trace of a panel is many small objects, and text is a quarter of them.
  return new KeptText(JSON.stringify(tell(call, { ...outcome })));
}

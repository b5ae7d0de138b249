import { textRemover } from "../catalog/record-decision.ts";
import type { Call } from "../model/call.ts";
import { newLedger, type Leg } from "../model/ledger.ts";
import { newTrace, openSpan, type Span, type SpanStatus } from "../model/trace.ts";
import type { KeptJson } from "../store/store.ts";
import { extensionOf } from "./extension.ts";
import { wireUsage } from "./openai/usage.ts";

type Told = Pick<Call, "id" | "identity" | "ledger" | "trace">;

interface Ended {
  readonly status: number;
  readonly stream: boolean;
  readonly error?: unknown;
}

/** A span that is packed begins with a number of these bits, and in those above them the number of its children. */
const LEAF = 1;
const ESTIMATED = 2;
const RARE = 4;
const STATUS_SHIFT = 3;
const CHILDREN_SHIFT = 5;
const statuses: readonly SpanStatus[] = ["running", "ok", "failed", "lost"];

/** What most spans have nothing of. */
interface Rare {
  readonly cut: boolean | undefined;
  /** As JSON, as is the next: a copy, and of a known length. */
  readonly error: string | undefined;
  readonly decision: string | undefined;
}

/** A reference or a small integer. */
const SLOT_BYTES = 8;
/** A leg with its usage, and the record itself. */
const LEG_BYTES = 150;
const OWN_BYTES = 300;

/** Tenths of a millisecond since the start, as a small integer: a float would be one more object to keep. */
function tenths(ms: number | undefined, startMs: number): number {
  return ms === undefined ? -1 : Math.round((ms - startMs) * 10);
}

type Clean = (decision: NonNullable<Span["decision"]>) => NonNullable<Span["decision"]>;

/**
 * A trace as one flat list, without what was said in it: for each span its bits, label, three times, on leaves the upstream and what it cost, on
 * others the node and its kind, then what is rare, then its children. Numbers are small and nearly all texts are those of the config, so little is
 * made but the list: thousands of traces as they are would cost the garbage collector more than all the rest of a request.
 */
class Packing {
  readonly slots: unknown[] = [];
  /** Of the texts that it alone holds. */
  textBytes = 0;
  readonly #clean: Clean;
  readonly #startMs: number;

  constructor(root: Span) {
    this.#clean = textRemover(root);
    this.#startMs = root.startMs;
    for (const child of root.children) this.#pack(child);
  }

  #rare({ cut, error, decision }: Span): Rare | undefined {
    if (cut === undefined && error === undefined && decision === undefined) return undefined;
    const rare = { cut, error: error && JSON.stringify(error), decision: decision && JSON.stringify(this.#clean(decision)) };
    this.textBytes += 2 * ((rare.decision?.length ?? 0) + (rare.error?.length ?? 0));
    return rare;
  }

  #pack(span: Span): void {
    const { slots } = this;
    const { label, node, kind, upstream, status, usage, usd, estimated, children } = span;
    const startMs = this.#startMs;
    const rare = this.#rare(span);
    const isLeaf = upstream !== undefined;
    const bits = (isLeaf ? LEAF : 0) | (estimated === true ? ESTIMATED : 0) | (rare ? RARE : 0);
    const head = bits | (statuses.indexOf(status) << STATUS_SHIFT) | (children.length << CHILDREN_SHIFT);
    slots.push(head, label, tenths(span.startMs, startMs), tenths(span.firstMs, startMs), tenths(span.endMs, startMs));
    if (isLeaf) slots.push(upstream, usage, usd);
    else slots.push(node, kind);
    if (rare) slots.push(rare);
    for (const child of children) this.#pack(child);
  }
}

function parsed(json: string | undefined): unknown {
  return json === undefined ? undefined : JSON.parse(json);
}

/** Opens the spans of a list below `parent`. */
class Unpacking {
  readonly #slots: readonly unknown[];
  #at = 0;

  constructor(slots: readonly unknown[]) {
    this.#slots = slots;
  }

  open(parent: Span): void {
    while (this.#at < this.#slots.length) this.#span(parent);
  }

  #next(): unknown {
    this.#at += 1;
    return this.#slots[this.#at - 1];
  }

  #span(parent: Span): void {
    const head = this.#next() as number;
    const label = this.#next() as string;
    const span = openSpan(parent, label, (this.#next() as number) / 10);
    const [first, end] = [this.#next() as number, this.#next() as number];
    if (first >= 0) span.firstMs = first / 10;
    if (end >= 0) span.endMs = end / 10;
    span.status = statuses[(head >> STATUS_SHIFT) & 3] ?? "lost";
    if ((head & LEAF) === 0) this.#tell(span, { node: this.#next(), kind: this.#next() });
    else {
      const upstream = this.#next() as string;
      const estimated = (head & ESTIMATED) !== 0;
      this.#tell(span, { node: upstream, kind: "leaf", upstream, usage: this.#next(), usd: this.#next(), estimated });
    }
    if ((head & RARE) !== 0) {
      const { cut, error, decision } = this.#next() as Rare;
      this.#tell(span, { cut, error: parsed(error), decision: parsed(decision) });
    }
    for (let child = 0; child < head >> CHILDREN_SHIFT; child += 1) this.#span(span);
  }

  #tell(span: Span, known: { readonly [Field in keyof Span]?: unknown }): void {
    for (const [name, value] of Object.entries(known)) if (value !== undefined) Object.assign(span, { [name]: value });
  }
}

const none: readonly string[] = [];

/** What may be asked about a request: its JSON is made when somebody does. */
class RequestBody implements KeptJson {
  readonly size: number;
  readonly #id: string;
  readonly #model: string;
  readonly #legs: readonly Leg[];
  readonly #slots: readonly unknown[];
  readonly #endTenths: number;
  readonly #degraded: readonly string[];
  readonly #warnings: readonly string[];
  readonly #status: number;
  readonly #stream: boolean;
  /** As JSON. */
  readonly #error: string | undefined;

  constructor({ id, identity, ledger, trace }: Told, ended: Ended) {
    const { slots, textBytes } = new Packing(trace.root);
    const { degraded, warnings } = trace;
    this.#id = id;
    this.#model = identity.model;
    // Copies have no room to grow in, and nothing is kept of what is empty.
    this.#legs = ledger.legs.slice();
    this.#slots = slots.slice();
    this.#endTenths = tenths(trace.root.endMs, trace.root.startMs);
    this.#degraded = degraded.length > 0 ? degraded.slice() : none;
    this.#warnings = warnings.length > 0 ? warnings.slice() : none;
    this.#status = ended.status;
    this.#stream = ended.stream;
    this.#error = ended.error === undefined ? undefined : JSON.stringify(ended.error);
    let texts = textBytes + 2 * (this.#error?.length ?? 0);
    for (const text of degraded) texts += 2 * text.length;
    for (const text of warnings) texts += 2 * text.length;
    this.size = OWN_BYTES + SLOT_BYTES * slots.length + LEG_BYTES * ledger.legs.length + texts;
  }

  json(): string {
    const trace = newTrace(0, false);
    trace.root.endMs = Math.max(0, this.#endTenths) / 10;
    new Unpacking(this.#slots).open(trace.root);
    trace.degraded.push(...this.#degraded);
    trace.warnings.push(...this.#warnings);
    const ledger = newLedger();
    for (const leg of this.#legs) ledger.add(leg);
    const usage = ledger.usage();
    return JSON.stringify({
      status: this.#status,
      stream: this.#stream,
      ...(this.#error === undefined ? {} : { error: parsed(this.#error) }),
      model: this.#model,
      ...(usage ? { usage: wireUsage(usage) } : {}),
      ...extensionOf({ id: this.#id, ledger, trace }, "full"),
    });
  }
}

/** Keeps what may be asked about a request, and nothing else of it: no text of a message or an answer. */
export function recordOf(call: Told, ended: Ended): KeptJson {
  return new RequestBody(call, ended);
}

import { textRemover } from "../catalog/record-decision.ts";
import type { Call } from "../model/call.ts";
import { newLedger, type Leg } from "../model/ledger.ts";
import { newTrace, openSpan, type Span, type SpanStatus } from "../model/trace.ts";
import type { Usage } from "../model/usage.ts";
import type { KeptJson } from "../store/store.ts";
import { extensionOf } from "./extension.ts";
import { wireUsage } from "./openai/usage.ts";
import { Packer, type Packed } from "./packed.ts";

type Told = Pick<Call, "id" | "identity" | "ledger" | "trace">;

interface Ended {
  readonly status: number;
  readonly stream: boolean;
  readonly error?: unknown;
}

/** A span begins with a number of these bits, and in those above them the number of its children. */
const LEAF = 1;
const ESTIMATED = 2;
const RARE = 4;
const STATUS_SHIFT = 3;
const CHILDREN_SHIFT = 5;
const spanStatuses: readonly SpanStatus[] = ["running", "ok", "failed", "lost"];
const legStatuses: readonly Leg["status"][] = ["ok", "failed", "cancelled"];

/** How much is told of a usage: that there is none, its two sums, or every detail. */
const NO_USAGE = 0;
const SUMS = 1;
const DETAILS = 2;

/** What most spans have nothing of. */
type Rare = Pick<Span, "cut" | "error" | "decision">;

/** What most requests have nothing of. */
interface Remarks {
  readonly degraded: readonly string[];
  readonly warnings: readonly string[];
  readonly error?: unknown;
}

const packer = new Packer();

/** Tenths of a millisecond since the start. */
function packTime(ms: number | undefined, startMs: number): void {
  packer.number(ms === undefined ? undefined : Math.round((ms - startMs) * 10));
}

function packUsage(usage: Usage | undefined): void {
  if (!usage) return packer.number(NO_USAGE);
  const { promptTokens, completionTokens, cachedTokens, cacheWriteTokens, promptAudioTokens, reasoningTokens } = usage;
  const { completionAudioTokens, acceptedPredictionTokens, rejectedPredictionTokens } = usage;
  const prompt = cachedTokens ?? cacheWriteTokens ?? promptAudioTokens;
  const completion = reasoningTokens ?? completionAudioTokens ?? acceptedPredictionTokens ?? rejectedPredictionTokens;
  const isDetailed = prompt !== undefined || completion !== undefined;
  packer.number(isDetailed ? DETAILS : SUMS);
  packer.number(promptTokens);
  packer.number(completionTokens);
  if (!isDetailed) return;
  packer.number(cachedTokens);
  packer.number(cacheWriteTokens);
  packer.number(promptAudioTokens);
  packer.number(reasoningTokens);
  packer.number(completionAudioTokens);
  packer.number(acceptedPredictionTokens);
  packer.number(rejectedPredictionTokens);
}

function packLeg({ upstream, status, usage, usd, estimated }: Leg): void {
  packer.name(upstream);
  packer.number(legStatuses.indexOf(status));
  packer.number(estimated ? 1 : 0);
  packer.number(usd);
  packUsage(usage);
}

type Clean = ReturnType<typeof textRemover>;

/** Times, on leaves the upstream and what it cost, on others the node and its kind, then what is rare, then the children. */
function packSpan(span: Span, startMs: number, clean: Clean): void {
  const { label, node, kind, upstream, status, usage, usd, estimated, cut, error, decision, children } = span;
  const isLeaf = upstream !== undefined;
  const isRare = cut !== undefined || error !== undefined || decision !== undefined;
  const bits = (isLeaf ? LEAF : 0) | (estimated === true ? ESTIMATED : 0) | (isRare ? RARE : 0);
  packer.number(bits | (spanStatuses.indexOf(status) << STATUS_SHIFT) | (children.length << CHILDREN_SHIFT));
  packer.name(label);
  packTime(span.startMs, startMs);
  packTime(span.firstMs, startMs);
  packTime(span.endMs, startMs);
  packer.name(isLeaf ? upstream : node);
  if (isLeaf) {
    packer.number(usd);
    packUsage(usage);
  } else packer.name(kind);
  if (isRare) packer.text(JSON.stringify({ cut, error, decision: decision && clean(decision) }));
  for (const child of children) packSpan(child, startMs, clean);
}

function pack({ identity, ledger, trace }: Told, { status, stream, error }: Ended): Packed {
  const { root, degraded, warnings } = trace;
  const clean = textRemover(root);
  const isRemarkable = degraded.length > 0 || warnings.length > 0 || error !== undefined;
  packer.begin();
  packer.number(status);
  packer.number(stream ? 1 : 0);
  packer.name(identity.model);
  packTime(root.endMs, root.startMs);
  packer.text(isRemarkable ? JSON.stringify({ degraded, warnings, error } satisfies Remarks) : undefined);
  packer.number(ledger.legs.length);
  for (const leg of ledger.legs) packLeg(leg);
  for (const child of root.children) packSpan(child, root.startMs, clean);
  return packer.packed();
}

type PackReader = ReturnType<Packed["read"]>;

/** Sets the fields that are known. */
function tell<T extends object>(target: T, known: { readonly [Field in keyof T]?: T[Field] | undefined }): T {
  for (const [name, value] of Object.entries(known)) if (value !== undefined) Object.assign(target, { [name]: value });
  return target;
}

function parsed<T>(json: string | undefined): Partial<T> {
  return json === undefined ? {} : (JSON.parse(json) as T);
}

function readUsage(reader: PackReader): Usage | undefined {
  const told = reader.number();
  if (told === NO_USAGE) return undefined;
  const usage = { promptTokens: reader.number() ?? 0, completionTokens: reader.number() ?? 0 };
  if (told === SUMS) return usage;
  return tell<Usage>(usage, {
    cachedTokens: reader.number(),
    cacheWriteTokens: reader.number(),
    promptAudioTokens: reader.number(),
    reasoningTokens: reader.number(),
    completionAudioTokens: reader.number(),
    acceptedPredictionTokens: reader.number(),
    rejectedPredictionTokens: reader.number(),
  });
}

function readLeg(reader: PackReader): Leg {
  const leg: Leg = {
    upstream: reader.text() ?? "",
    status: legStatuses[reader.number() ?? 0] ?? "failed",
    estimated: reader.number() === 1,
  };
  return tell(leg, { usd: reader.number(), usage: readUsage(reader) });
}

function readTime(reader: PackReader): number | undefined {
  const tenths = reader.number();
  return tenths === undefined ? undefined : tenths / 10;
}

function readSpan(reader: PackReader, parent: Span): void {
  const head = reader.number() ?? 0;
  const label = reader.text() ?? "";
  const span = openSpan(parent, label, readTime(reader) ?? 0);
  span.status = spanStatuses[(head >> STATUS_SHIFT) & 3] ?? "lost";
  tell(span, { firstMs: readTime(reader), endMs: readTime(reader) });
  if ((head & LEAF) === 0) tell(span, { node: reader.text(), kind: reader.text() });
  else {
    const upstream = reader.text();
    const estimated = (head & ESTIMATED) !== 0;
    tell(span, { node: upstream, kind: "leaf", upstream, usd: reader.number(), usage: readUsage(reader), estimated });
  }
  if ((head & RARE) !== 0) tell(span, parsed<Rare>(reader.text()));
  for (let child = 0; child < head >> CHILDREN_SHIFT; child += 1) readSpan(reader, span);
}

/** What may be asked about a request: its JSON is made when somebody does. */
class RequestBody implements KeptJson {
  readonly #id: string;
  readonly #packed: Packed;

  constructor(id: string, packed: Packed) {
    this.#id = id;
    this.#packed = packed;
  }

  get size(): number {
    return this.#packed.size;
  }

  json(): string {
    const reader = this.#packed.read();
    const trace = newTrace(0, false);
    const ledger = newLedger();
    const status = reader.number();
    const stream = reader.number() === 1;
    const model = reader.text();
    trace.root.endMs = readTime(reader) ?? 0;
    const { degraded = [], warnings = [], error } = parsed<Remarks>(reader.text());
    trace.degraded.push(...degraded);
    trace.warnings.push(...warnings);
    const legs = reader.number() ?? 0;
    for (let leg = 0; leg < legs; leg += 1) ledger.add(readLeg(reader));
    while (!reader.isAtEnd) readSpan(reader, trace.root);
    const usage = ledger.usage();
    return JSON.stringify({
      status,
      stream,
      error,
      model,
      usage: usage && wireUsage(usage),
      ...extensionOf({ id: this.#id, ledger, trace }, "full"),
    });
  }
}

/** Keeps what may be asked about a request, and nothing else of it: no text of a message or an answer. */
export function recordOf(call: Told, ended: Ended): KeptJson {
  return new RequestBody(call.id, pack(call, ended));
}

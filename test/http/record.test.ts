import { describe, expect, test } from "vitest";
import { extensionOf } from "../../src/http/extension.ts";
import { recordOf } from "../../src/http/record.ts";
import { wireUsage } from "../../src/http/openai/usage.ts";
import { newLedger, type Leg } from "../../src/model/ledger.ts";
import { newTrace, openSpan, type Span, type Trace } from "../../src/model/trace.ts";
import * as fc from "../support/properties.ts";

const START_MS = 1000;

const usage = fc.record({
  promptTokens: fc.nat(1000),
  completionTokens: fc.nat(1000),
  cachedTokens: fc.option(fc.nat(9), { nil: undefined }),
});
const known = fc.record(
  {
    status: fc.constantFrom("ok", "failed", "lost", "running"),
    first: fc.nat(99_999),
    end: fc.nat(99_999),
    node: fc.constantFrom("smart", "smart/members[0]"),
    upstream: fc.constantFrom("demo/alto", "demo/bass"),
    usage,
    usd: fc.double({ min: 0, max: 1, noNaN: true }),
    estimated: fc.boolean(),
    cut: fc.constant(true as const),
    error: fc.constant({ code: "upstream_timeout", message: "demo/alto was silent." } as const),
    share: fc.nat(9),
  },
  { requiredKeys: ["status"] },
);

interface Drawn {
  readonly known: typeof known extends fc.Arbitrary<infer T> ? T : never;
  readonly children: readonly Drawn[];
}

/** Four levels of spans: more than a panel of panels has. */
const drawn: fc.Arbitrary<Drawn> = [1, 2, 3].reduce<fc.Arbitrary<Drawn>>(
  (below) => fc.record({ known, children: fc.array(below, { maxLength: 3 }) }),
  fc.record({ known, children: fc.constant([]) }),
);

/** Spans as observers leave them: only leaves cost, and only leaves are estimated. */
function grow(parent: Span, { known, children }: Drawn, legs: Leg[]): void {
  const span = openSpan(parent, `seat ${parent.children.length + 1}`, START_MS + parent.children.length);
  const { status, first, end, node, upstream, usage, usd, estimated, cut, error, share } = known;
  span.status = status;
  if (first !== undefined) span.firstMs = START_MS + first / 10;
  if (end !== undefined) span.endMs = START_MS + end / 10;
  if (cut) span.cut = true;
  if (error) span.error = error;
  if (share !== undefined) span.decision = { share, winner: "seat 1" };
  if (upstream === undefined) {
    if (node !== undefined) Object.assign(span, { node, kind: "vote" });
  } else {
    Object.assign(span, { node: upstream, kind: "leaf", upstream, estimated: estimated ?? false });
    if (usage) span.usage = usage as NonNullable<Span["usage"]>;
    if (usd !== undefined) span.usd = usd;
    legs.push({
      upstream,
      status: "ok",
      estimated: estimated ?? false,
      ...(usage && { usage: usage as NonNullable<Leg["usage"]> }),
      ...(usd === undefined ? {} : { usd }),
    });
  }
  for (const child of children) grow(span, child, legs);
}

function traceOf(children: readonly Drawn[], legs: Leg[]): Trace {
  const trace = newTrace(START_MS, false);
  for (const child of children) grow(trace.root, child, legs);
  trace.root.endMs = START_MS + 12_345.6;
  trace.root.status = "ok";
  return trace;
}

describe("a record", () => {
  test("tells what the extension would have told at the end", () => {
    fc.assert(
      fc.property(fc.array(drawn, { minLength: 1, maxLength: 3 }), fc.array(fc.string(), { maxLength: 2 }), (children, warnings) => {
        const legs: Leg[] = [];
        const trace = traceOf(children, legs);
        trace.warnings.push(...warnings);
        const ledger = newLedger();
        for (const leg of legs) ledger.add(leg);
        const identity = { id: "chatcmpl-1", model: "smart", created: 1 };
        const sum = ledger.usage();
        const told = {
          status: 200,
          stream: false,
          model: "smart",
          ...(sum && { usage: wireUsage(sum) }),
          ...extensionOf({ id: "req_1", ledger, trace }, "full"),
        };
        const record = recordOf({ id: "req_1", identity, ledger, trace }, { status: 200, stream: false });
        // What is billed later is no part of it.
        ledger.add({ upstream: "late/late", status: "ok", estimated: false, usd: 9 });
        expect(JSON.parse(record.json())).toEqual(JSON.parse(JSON.stringify(told)));
      }),
    );
  });

  test("holds no text that was said, and says how much it holds", () => {
    const trace = newTrace(START_MS, true);
    const span = openSpan(trace.root, "gpt", START_MS);
    span.text = "the secret";
    span.calls = "call(secret)";
    span.decision = { votes: { "the secret": 2 } };
    const identity = { id: "chatcmpl-1", model: "smart", created: 1 };
    const record = recordOf({ id: "req_1", identity, ledger: newLedger(), trace }, { status: 200, stream: false });
    expect(record.json()).not.toContain("secret");
    expect(record.json()).toContain('"votes":{"text 1":2}');
    span.error = { code: "internal", message: "x".repeat(1000) };
    const larger = recordOf({ id: "req_1", identity, ledger: newLedger(), trace }, { status: 200, stream: false });
    expect(larger.size - record.size).toBeGreaterThanOrEqual(2000);
    const failed = recordOf(
      { id: "req_1", identity, ledger: newLedger(), trace },
      { status: 500, stream: false, error: { message: "y".repeat(1000) } },
    );
    expect(failed.size - larger.size).toBeGreaterThanOrEqual(2000);
    expect(JSON.parse(failed.json())).toMatchObject({ status: 500, error: { message: "y".repeat(1000) } });
  });
});

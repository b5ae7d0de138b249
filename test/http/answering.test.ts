import { expect, test } from "vitest";
import { answeringLeaf } from "../../src/http/extension.ts";
import type { Span } from "../../src/model/trace.ts";

const leaf = (label: string): Span => ({ label, upstream: `demo/${label}`, startMs: 0, status: "ok", children: [] });

test("an answer that is nobody's own text has no leaf", () => {
  const span: Span = { label: "request", startMs: 0, status: "ok", children: [leaf("alto"), leaf("bass")] };
  expect(answeringLeaf(span)).toBe("demo/bass");
  expect(answeringLeaf({ ...span, decision: { winner: "alto" } })).toBe("demo/alto");
  expect(answeringLeaf({ ...span, decision: { answered: null } })).toBeUndefined();
});

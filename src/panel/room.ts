import type { Call } from "../model/call.ts";
import type { Span } from "../model/trace.ts";

/** What the legs below a span have cost. */
function spent(span: Span): { readonly usd: number; readonly tokens: number } {
  let usd = span.usd ?? 0;
  let tokens = (span.usage?.promptTokens ?? 0) + (span.usage?.completionTokens ?? 0);
  for (const child of span.children) {
    const below = spent(child);
    usd += below.usd;
    tokens += below.tokens;
  }
  return { usd, tokens };
}

/**
 * Whether the budget has room for so many further children, each like the dearest so far: what a leg will cost is not known before it is asked,
 * and a step that is begun and denied halfway has cost money for nothing.
 */
export function hasRoom({ budget, span }: Pick<Call, "budget" | "span">, children: number): boolean {
  const costs = span.children.map(spent);
  const usd = Math.max(0, ...costs.map((cost) => cost.usd));
  const tokens = Math.max(0, ...costs.map((cost) => cost.tokens));
  return budget.allows({ usd: usd * children, tokens: tokens * children }, children);
}

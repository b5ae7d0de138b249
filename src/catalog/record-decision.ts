import type { Span } from "../model/trace.ts";

/** Fields whose text is one of a strategy's own words: why something ended, who decided. */
const spoken = new Set([
  "by",
  "early",
  "failed",
  "kind",
  "mode",
  "policy",
  "gate",
  "stop",
  "stopped",
  "closed",
  "topology",
  "code",
  "ended",
  "outcome",
  "chosen",
  "rule",
]);

/** Fields of what was measured, where numbers stand under names that a strategy gave. */
const measured = new Set([
  "agreement",
  "answers",
  "atMost",
  "calls",
  "confidence",
  "count",
  "grade",
  "margin",
  "max",
  "mean",
  "measured",
  "min",
  "probability",
  "rank",
  "round",
  "samples",
  "score",
  "share",
  "threshold",
  "tokens",
  "turn",
  "weight",
]);

/** Maps of these names have answers as their keys. */
const answered = new Set(["votes", "answers", "probabilities", "distribution", "standings"]);

/** Every name in a trace that its operator gave: labels, nodes, models. */
function namesIn(span: Span, names: Set<string>): Set<string> {
  // A seat is known by the name of its member too: `gpt#2`, `gpt, round 3`.
  const seat = span.label.split(/#\d|, /, 1)[0];
  for (const name of [span.label, seat, span.node, span.kind, span.upstream, span.error?.code]) if (name !== undefined) names.add(name);
  for (const child of span.children) namesIn(child, names);
  return names;
}

/** The letters that anonymous candidates bear. */
const letter = /^[A-Z]{1,2}$/;
/** How strategies call the fields of what they decided. */
const field = /^[a-z][a-zA-Z]{0,30}$/;

/** Takes what was said out of decisions: each text that is no name becomes `text 1`, `text 2` ..., the same text the same number. */
export function textRemover(root: Span): (decision: NonNullable<Span["decision"]>) => NonNullable<Span["decision"]> {
  // Most spans decide nothing: then nobody asks for a name.
  let found: Set<string> | undefined;
  const isName = (text: string) => (found ??= namesIn(root, new Set())).has(text);
  const numbers = new Map<string, string>();
  const numbered = (text: string): string => {
    const known = numbers.get(text) ?? `text ${numbers.size + 1}`;
    numbers.set(text, known);
    return known;
  };
  const told = (text: string, key: string) => (spoken.has(key) || isName(text) ? text : numbered(text));
  const isField = (key: string, value: unknown, parent: string) =>
    !answered.has(parent) && (letter.test(key) || (field.test(key) && (parent === "" || typeof value !== "number" || measured.has(key))));
  const clean = (value: unknown, key: string): unknown => {
    if (typeof value === "string") return told(value, key);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map((inner) => clean(inner, key));
    return Object.fromEntries(
      Object.entries(value).map(([inner, of]) => [
        isField(inner, of, key) || isName(inner) ? inner : numbered(inner),
        clean(of, answered.has(key) ? key : inner),
      ]),
    );
  };
  return (decision) => clean(decision, "") as NonNullable<Span["decision"]>;
}

import type { ChatRequest, Foreign } from "../../model/request.ts";

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? (value as readonly unknown[]) : undefined;
}

/** A value without fields of these names, in it and in the lists under `below`; the same value where there were none. */
export function without(value: unknown, names: readonly string[], below: readonly string[] = []): unknown {
  if (!isFields(value)) return value;
  const edits: Record<string, unknown> = {};
  for (const name of names) if (value[name] !== undefined) edits[name] = undefined;
  for (const key of below) {
    const items = listOf(value[key]);
    const cleaned = items?.map((item) => without(item, names));
    if (cleaned?.some((item, index) => item !== items?.[index])) edits[key] = cleaned;
  }
  return Object.keys(edits).length > 0 ? { ...value, ...edits } : value;
}

function cleaned(items: readonly unknown[], names: readonly string[], below?: readonly string[]): readonly unknown[] | undefined {
  const all = items.map((item) => without(item, names, below));
  return all.some((item, index) => item !== items[index]) ? all : undefined;
}

/** The offered tools so that writing them again changes no number in a schema. */
function exactTools({ body, edits, source }: ChatRequest): readonly unknown[] {
  const span = source.scan.spans.get("tools");
  if (!span || Object.hasOwn(edits, "tools")) return listOf(body.tools) ?? [];
  const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };
  const text = Buffer.from(source.text.slice(span[1], span[2]), "latin1").toString("utf8");
  const parsed: unknown = JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source ? rawJSON(context.source) : value,
  );
  return listOf(parsed) ?? [];
}

/** What takes out of a request what is meant for leaves of another API. */
export function foreignEdits(
  { fields, inner }: Foreign,
  request: ChatRequest,
): { readonly edits: Fields; readonly dropped: readonly string[] } {
  const { body } = request;
  const dropped = fields.filter((field) => body[field] !== undefined && body[field] !== null);
  const messages = cleaned(body.messages, inner, ["content", "tool_calls"]);
  const isHinted = cleaned(listOf(body.tools) ?? [], inner) !== undefined;
  const edits = {
    ...Object.fromEntries(dropped.map((field) => [field, undefined])),
    ...(messages ? { messages } : {}),
    ...(isHinted ? { tools: cleaned(exactTools(request), inner) } : {}),
  };
  return { edits, dropped };
}

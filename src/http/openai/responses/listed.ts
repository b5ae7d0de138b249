import { GatewayError } from "../../../model/errors.ts";
import { typeOf } from "./items.ts";
import type { Json } from "./json.ts";

/** An item of a request as a list shows it: with an id, a type and parts. */
export function listedItem(item: Json, id: string): Json {
  const type = typeOf(item);
  const named = { ...item, type, id: typeof item["id"] === "string" ? item["id"] : id };
  if (type !== "message") return named;
  const { content, role } = item;
  const parts = typeof content === "string" ? [{ type: role === "assistant" ? "output_text" : "input_text", text: content }] : content;
  return { status: "completed", ...named, content: parts };
}

/** One page of items, newest first unless asked otherwise. */
export function itemPage(items: readonly Json[], query: URLSearchParams): Json {
  const limit = Number(query.get("limit") ?? 20);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) {
    throw new GatewayError("invalid_request", "Invalid 'limit': expected an integer from 1 to 100.", { param: "limit" });
  }
  const ordered = query.get("order") === "asc" ? items : items.toReversed();
  const after = query.get("after");
  const from = after === null ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  const data = ordered.slice(from, from + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.["id"] ?? null,
    last_id: data.at(-1)?.["id"] ?? null,
    has_more: from + limit < ordered.length,
  };
}

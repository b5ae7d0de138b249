import { isObject, parseExact, type Json } from "./json.ts";

/**
 * What a leaf gave that no item has a field for, such as signatures of its reasoning. It travels to the client and back in a reasoning item's
 * `encrypted_content`. It is not secret and not trusted: a client could write the same fields into a chat message.
 */
export interface Carried {
  /** The whole reasoning: clients that send back only the blob lose nothing. */
  readonly reasoning?: string;
  /** Fields of the assistant message. */
  readonly message?: Json;
  /** Fields beside `function` of a call, by its id. */
  readonly calls?: Readonly<Record<string, Json>>;
}

const PREFIX = "chorale.1.";
/** What an item says itself must not be overruled by a blob. */
const own = new Set(["role", "content", "refusal", "tool_calls", "reasoning_content", "id", "type", "function", "custom"]);

export function seal(carried: Carried): string {
  return PREFIX + Buffer.from(JSON.stringify(carried), "utf8").toString("base64url");
}

function foreign(fields: unknown): Json {
  return isObject(fields) ? Object.fromEntries(Object.entries(fields).filter(([key]) => !own.has(key))) : {};
}

/** What a blob of ours holds; undefined for what another server made. */
export function unseal(blob: string): Carried | undefined {
  if (!blob.startsWith(PREFIX)) return undefined;
  let value;
  try {
    value = parseExact(Buffer.from(blob.slice(PREFIX.length), "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { reasoning, message, calls } = value;
  return {
    ...(typeof reasoning === "string" ? { reasoning } : {}),
    message: foreign(message),
    calls: isObject(calls) ? Object.fromEntries(Object.entries(calls).map(([id, fields]) => [id, foreign(fields)])) : {},
  };
}

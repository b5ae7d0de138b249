import type { Path } from "./origin.ts";

/** Keys whose value is a secret: never printed, never empty. */
const secret = new Set(["apiKey", "apiKeys", "key", "url"]);
/** Keys whose value may be shown, but where an empty variable is a mistake all the same. */
const needed = new Set(["baseUrl"]);
/** Anything that smells of a secret is not shown: a key may stand in the wrong place. */
const suspicious = /key|secret|token|password|auth|url|header/i;

function keyOf(path: Path): string {
  return path.findLast((step) => typeof step === "string") ?? "";
}

/** True for a value that the logs have to redact. */
export function isSecret(path: Path): boolean {
  return secret.has(keyOf(path)) || path.includes("headers");
}

/** True where an empty variable is an error. */
export function mustNotBeEmpty(path: Path): boolean {
  return secret.has(keyOf(path)) || needed.has(keyOf(path));
}

function mayShow(text: string, path: Path): boolean {
  if (path.some((step) => typeof step === "string" && suspicious.test(step))) return false;
  return !/^(sk-|AIza|Bearer\b)/.test(text);
}

/** What was found, for a message. Never shows a secret, nor anything that might be one. */
export function describe(value: unknown, path: Path, written?: string): string {
  if (value === undefined || value === null) return "nothing";
  if (written !== undefined) return `the value of ${written}`;
  if (typeof value === "string") {
    if (!mayShow(value, path)) return `text of ${value.length} characters (not shown)`;
    return value.length > 40 ? `${JSON.stringify(value.slice(0, 40))}...` : JSON.stringify(value);
  }
  if (Array.isArray(value)) return value.length === 1 ? "a list of 1" : `a list of ${value.length}`;
  return typeof value === "object" ? "a map" : JSON.stringify(value);
}

import { randomBytes } from "node:crypto";

const PREFIX = "req_";
/** Hexadecimal digits of one id. */
const DIGITS = 32;
/** Ids that are drawn together: a draw costs about as much as writing one id. */
const IDS = 256;

let drawn = Buffer.alloc(0);
let at = 0;

/** A name for a request that nobody can guess: `req_` and 32 hexadecimal digits. */
export function newRequestId(): string {
  if (at >= drawn.length) {
    const digits = randomBytes((DIGITS / 2) * IDS).toString("hex");
    drawn = Buffer.from(digits.replace(/.{32}/g, `${PREFIX}$&`), "latin1");
    at = 0;
  }
  const from = at;
  at += PREFIX.length + DIGITS;
  // A text of its own: a part of a longer one would keep all of that, as long as the request is remembered.
  return drawn.toString("latin1", from, at);
}

/** The id among the headers of an answer. */
export function requestIdIn(headers: readonly string[]): string {
  return headers[headers.indexOf("x-request-id") + 1] ?? "";
}

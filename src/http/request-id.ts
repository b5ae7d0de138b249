import { randomBytes } from "node:crypto";

/** Random bytes of one id. */
const ID_BYTES = 16;
/** Ids that are drawn together: a draw costs about as much as writing one id. */
const IDS = 256;

let digits = "";
let at = 0;

/** A name for a request that nobody can guess: `req_` and 32 hexadecimal digits. */
export function newRequestId(): string {
  if (at >= digits.length) {
    digits = randomBytes(ID_BYTES * IDS).toString("hex");
    at = 0;
  }
  at += ID_BYTES * 2;
  return `req_${digits.slice(at - ID_BYTES * 2, at)}`;
}

/** The id among the headers of an answer. */
export function requestIdIn(headers: readonly string[]): string {
  return headers[headers.indexOf("x-request-id") + 1] ?? "";
}

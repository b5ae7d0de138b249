const ascii = /^[\x20-\x7e]*$/;

/** Text as the latin1 reading of its UTF-8 bytes, in which one character is one byte: it can stand beside bytes that were read so. */
export function latin1(text: string): string {
  return ascii.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

const plain = /^[ !#-[\]-~]*$/;

/** A string's JSON, read so. Most need no escape, and that is seen sooner than written. */
export function latin1Quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : latin1(JSON.stringify(text));
}

/** A value's JSON, read so. */
export function latin1Json(value: unknown): string {
  return latin1(JSON.stringify(value));
}

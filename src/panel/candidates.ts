import { withoutThoughts } from "./answers/plain.ts";

/** Something to show under an anonymous label. */
export interface Labelled<T> {
  /** A, B, C ... */
  readonly label: string;
  readonly item: T;
}

/** A to Z, then AA, AB ... */
export function labelAt(index: number): string {
  const last = String.fromCharCode(65 + (index % 26));
  return index < 26 ? last : labelAt(Math.floor(index / 26) - 1) + last;
}

/** Labels the items in an order drawn anew, so that neither place nor name tells who wrote what. */
export function shuffled<T>(items: readonly T[], draw: () => number): readonly Labelled<T>[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i -= 1) {
    const j = Math.floor(draw() * (i + 1));
    const [a, b] = [order[i], order[j]];
    if (a === undefined || b === undefined) continue;
    order[i] = b;
    order[j] = a;
  }
  return order.map((item, index) => ({ label: labelAt(index), item }));
}

/** A mark that no candidate can have known when it was written. */
export function newNonce(random: () => number): string {
  let nonce = "";
  while (nonce.length < 16)
    nonce += Math.floor(random() * 36 ** 4)
      .toString(36)
      .padStart(4, "0");
  return nonce;
}

/** Tokens are not counted before a call; four characters are about one in most scripts. */
const CHARACTERS_PER_TOKEN = 4;

/** What a reader of candidates needs of a text: no thoughts, no more than `maxTokens` (estimated), and a notice where it was cut. */
export function shownText(text: string, maxTokens: number): string {
  const visible = withoutThoughts(text).trim();
  const length = maxTokens * CHARACTERS_PER_TOKEN;
  return visible.length <= length ? visible : `${visible.slice(0, length).toWellFormed()}\n[the rest was cut]`;
}

/** Untrusted text between two lines that carry the nonce: what stands between them is data. */
export function fenced(what: string, text: string, nonce: string): string {
  return `--- ${what}, mark ${nonce} ---\n${text}\n--- end of ${what}, mark ${nonce} ---`;
}

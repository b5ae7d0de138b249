import { isUtf8 } from "node:buffer";
import type { Identity } from "../../model/call.ts";
import { scanJsonObject } from "../../model/json-scan.ts";
import { latin1Json } from "../../model/latin1.ts";
import type { Draft } from "./message.ts";

/** How often chunks went out as they came, and how often they had to be parsed or made canonical. For metrics. */
export const chunkPaths = { template: 0, spliced: 0, canonical: 0, invalidUtf8: 0 };

/** Writes chunks as frames for the client, under the identity that it was told. One character is one byte. */
export class FrameWriter {
  readonly #identity: Identity;
  readonly #wantsUsage: boolean;
  readonly #idJson: string;
  readonly #modelJson: string;
  readonly #createdJson: string;
  readonly #object: string;

  /** With `wantsUsage`, `usage` stays where the upstream put it. */
  constructor(identity: Identity, wantsUsage: boolean, object = "chat.completion.chunk") {
    this.#identity = identity;
    this.#wantsUsage = wantsUsage;
    this.#object = object;
    this.#idJson = latin1Json(identity.id);
    this.#modelJson = latin1Json(identity.model);
    this.#createdJson = String(identity.created);
  }

  /** A chunk that stays as it came, but for its identity. */
  kept(data: string): string {
    return `data: ${this.spliced(data)}\n\n`;
  }

  /** A chunk that had to be changed. */
  rewritten(chunk: Draft): string {
    chunkPaths.canonical += 1;
    const { id, model, created } = this.#identity;
    if (!this.#wantsUsage) delete chunk["usage"];
    const { id: _i, object: _o, created: _c, model: _m, ...rest } = chunk;
    return `data: ${latin1Json({ id, object: this.#object, created, model, ...rest })}\n\n`;
  }

  /** The chunk's own text with identity replaced in place, and `"usage":null` cut when the client did not ask for usage. */
  spliced(data: string): string {
    chunkPaths.spliced += 1;
    const { spans } = scanJsonObject(data);
    const cuts: (readonly [number, number, string])[] = [];
    const missing: string[] = [];
    for (const [key, put] of [
      ["id", this.#idJson],
      ["model", this.#modelJson],
      ["created", this.#createdJson],
      ["object", `"${this.#object}"`],
    ] as const) {
      const span = spans.get(key);
      if (span) cuts.push([span[1], span[2], put]);
      else missing.push(`"${key}":${put},`);
    }
    const usage = spans.get("usage");
    if (usage && !this.#wantsUsage) cuts.push(memberCut(data, usage));
    cuts.sort(([a], [b]) => a - b);
    const open = data.indexOf("{") + 1;
    let out = data.slice(0, open) + missing.join("");
    let at = open;
    for (const [from, to, put] of cuts) {
      out += data.slice(at, from) + put;
      at = to;
    }
    return out + data.slice(at);
  }
}

/** The span of a member with one of its commas. */
function memberCut(text: string, [from, , to]: readonly [number, number, number]): readonly [number, number, string] {
  let start = from;
  while (text.charCodeAt(start - 1) <= 32) start -= 1;
  if (text.charAt(start - 1) === ",") return [start - 1, to, ""];
  let end = to;
  while (text.charCodeAt(end) <= 32) end += 1;
  return text.charAt(end) === "," ? [from, end + 1, ""] : [from, to, ""];
}

const highByte = /[\x80-\xff]/;

/** Invalid UTF-8 becomes U+FFFD and is counted; a client would fail on it. */
export function wellFormed(text: string): string {
  if (!highByte.test(text)) return text;
  const bytes = Buffer.from(text, "latin1");
  if (isUtf8(bytes)) return text;
  chunkPaths.invalidUtf8 += 1;
  return Buffer.from(bytes.toString("utf8"), "utf8").toString("latin1");
}

import { isRecord, isText, parseExactly, RawJson, type Json } from "../translate/json.ts";
import type { Part } from "../translate/parts.ts";
import { unsupported } from "../translate/unsupported.ts";

/** Where the prompt may be cached up to: the API's own `cache_control`, or OpenAI's breakpoint. */
export function cacheHint({ cache_control: own, prompt_cache_breakpoint: breakpoint }: Json): Json {
  if (isRecord(own)) return { cache_control: own };
  return isRecord(breakpoint) ? { cache_control: { type: "ephemeral" } } : {};
}

const images = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

function imageBlock(part: Part & { readonly type: "image" }, upstream: string): Json {
  const { source, at } = part;
  if (source.kind === "url") return { type: "image", source: { type: "url", url: source.url } };
  if (source.kind === "base64" && images.has(source.mediaType)) {
    return { type: "image", source: { type: "base64", media_type: source.mediaType, data: source.base64 } };
  }
  throw unsupported(upstream, `${at}.image_url.url`, "images are JPEG, PNG, GIF or WebP");
}

function documentSource(part: Part & { readonly type: "file" }, upstream: string): Json {
  const { source, at } = part;
  if (source.kind === "url") return { type: "url", url: source.url };
  if (source.kind === "id") {
    // The upstream's own files begin so; an id of OpenAI's (`file-`) means nothing there.
    if (source.id.startsWith("file_")) return { type: "file", file_id: source.id };
    throw unsupported(upstream, `${at}.file.file_id`, "this file is not known there");
  }
  if (source.mediaType === "application/pdf") return { type: "base64", media_type: source.mediaType, data: source.base64 };
  if (source.mediaType.startsWith("text/")) {
    return { type: "text", media_type: "text/plain", data: Buffer.from(source.base64, "base64").toString("utf8") };
  }
  throw unsupported(upstream, `${at}.file.file_data`, "files are PDF or plain text");
}

/** A part as a content block. Throws `unsupported_parameter` with its path for what the API has no block for. */
export function blockOf(part: Part, upstream: string): Json {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text, ...cacheHint(part.from) };
    case "image":
      return { ...imageBlock(part, upstream), ...cacheHint(part.from) };
    case "file":
      return {
        type: "document",
        source: documentSource(part, upstream),
        ...(part.name === undefined ? {} : { title: part.name }),
        ...cacheHint(part.from),
      };
    default:
      throw unsupported(upstream, `${part.at}.input_audio`, "there is no audio");
  }
}

/** Arguments of a call as the object that the API wants: the client's own text where it is one. What is no object stands under `input`. */
export function inputOf(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return isRecord(parseExactly(text)) ? new RawJson(text) : { input: text };
  } catch {
    // A model wrote it, so it may be no JSON; the tool's result tells what came of it.
    return { input: text };
  }
}

/** Ids of calls in the letters that the API allows, the same for a call and its result, and different for different calls. */
export class CallIds {
  readonly #known = new Map<string, string>();
  /** How many calls wanted an id. */
  readonly #wanted = new Map<string, number>();

  of(id: string): string {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const legal = isText(id) ? id.replace(/[^\w-]/g, "_") : "call";
    let unique = legal;
    while (this.#wanted.has(unique)) unique = `${legal}_${this.#count(legal)}`;
    this.#count(unique);
    this.#known.set(id, unique);
    return unique;
  }

  #count(id: string): number {
    const count = (this.#wanted.get(id) ?? 0) + 1;
    this.#wanted.set(id, count);
    return count;
  }
}

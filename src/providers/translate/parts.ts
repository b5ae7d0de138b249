import { readDataUrl } from "./data-url.ts";
import { isRecord, isText, type Json } from "./json.ts";
import { unsupported } from "./unsupported.ts";

/** Where bytes of a part are: in the request, at an address, or in the upstream's own store. */
export type Source =
  | { readonly kind: "base64"; readonly mediaType: string; readonly base64: string }
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "id"; readonly id: string };

/** One part of a message's content. `from` is the part as the client wrote it, for fields such as caching hints; `at` is its path, for errors. */
export type Part = {
  readonly at: string;
  readonly from: Json;
} & (
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly source: Source }
  | { readonly type: "file"; readonly source: Source; readonly name?: string }
  | { readonly type: "audio"; readonly base64: string; readonly format: string }
);

const nothing: Json = Object.freeze({});

function textPart(text: string, at: string, from: Json = nothing): Part {
  return { type: "text", text, at, from };
}

function sourceOf(url: string): Source | undefined {
  const data = readDataUrl(url);
  if (data) return { kind: "base64", ...data };
  return /^https?:\/\//i.test(url) ? { kind: "url", url } : undefined;
}

function imagePart(from: Json, at: string, upstream: string): Part {
  const said = from["image_url"];
  const url = isRecord(said) ? said["url"] : said;
  const source = isText(url) ? sourceOf(url) : undefined;
  if (!source) throw unsupported(upstream, `${at}.image_url.url`, "expected a data: or https: URL");
  return { type: "image", source, at, from };
}

const extensions: Readonly<Record<string, string>> = { pdf: "application/pdf", txt: "text/plain", md: "text/plain" };

function filePart(from: Json, at: string, upstream: string): Part {
  const { file } = from;
  const { file_data: data, file_id: id, filename } = isRecord(file) ? file : nothing;
  const name = isText(filename) ? { name: filename } : {};
  if (isText(data)) {
    const extension = isText(filename) ? (/\.(\w+)$/.exec(filename)?.[1] ?? "").toLowerCase() : "";
    // Bare base64, as some clients send it: the name says what it is, and without one it is what OpenAI takes here.
    const source = sourceOf(data) ?? { kind: "base64", mediaType: extensions[extension] ?? "application/pdf", base64: data };
    return { type: "file", source, ...name, at, from };
  }
  if (isText(id)) return { type: "file", source: { kind: "id", id }, ...name, at, from };
  throw unsupported(upstream, `${at}.file`, "expected file_data or file_id");
}

function audioPart(from: Json, at: string, upstream: string): Part {
  const audio = from["input_audio"];
  const { data, format } = isRecord(audio) ? audio : nothing;
  if (!isText(data) || !isText(format)) throw unsupported(upstream, `${at}.input_audio`, "expected data and format");
  return { type: "audio", base64: data, format, at, from };
}

function readPart(part: unknown, at: string, upstream: string): Part {
  const from = isRecord(part) ? part : nothing;
  const { type, text, refusal } = from;
  switch (type) {
    case "text":
      return textPart(typeof text === "string" ? text : "", at, from);
    case "refusal":
      return textPart(typeof refusal === "string" ? refusal : "", at, from);
    case "image_url":
      return imagePart(from, at, upstream);
    case "file":
      return filePart(from, at, upstream);
    case "input_audio":
      return audioPart(from, at, upstream);
    default:
      throw unsupported(upstream, `${at}.type`, `parts of type ${JSON.stringify(type ?? null)} are not known here`);
  }
}

/** A message's `content`: text, parts, or nothing. Throws `unsupported_parameter` with the path of a part that is not known. */
export function readParts(content: unknown, at: string, upstream: string): readonly Part[] {
  if (typeof content === "string") return content === "" ? [] : [textPart(content, at)];
  if (!Array.isArray(content)) return [];
  return (content as readonly unknown[]).map((part, index) => readPart(part, `${at}[${index}]`, upstream));
}

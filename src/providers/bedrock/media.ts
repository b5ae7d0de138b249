import { isRecord, type Json } from "../translate/json.ts";
import type { Part } from "../translate/parts.ts";
import { unsupported } from "../translate/unsupported.ts";

const images: Readonly<Record<string, string>> = { "image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp" };
const documents: Readonly<Record<string, string>> = {
  "application/pdf": "pdf",
  "text/csv": "csv",
  "text/html": "html",
  "text/plain": "txt",
  "text/markdown": "md",
  "application/msword": "doc",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.ms-excel": "xls",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
};

/** Names of documents: letters, digits, single spaces, hyphens and brackets. */
function documentName(name: string | undefined): string {
  const known = (name ?? "")
    .replace(/\.\w+$/, "")
    .replace(/[^a-zA-Z0-9\s\-()[\]]+/g, "-")
    .replace(/\s+/g, " ")
    .trim();
  return known === "" ? "document" : known.slice(0, 200);
}

export interface MediaOptions {
  readonly upstream: string;
  /** Takes the names of what was left out. */
  readonly dropped: Set<string>;
}

/** An image or a document as a block; throws `unsupported_parameter` with its path for other media, and for those that are only told where they are. */
export function mediaBlock(part: Part & { readonly type: "image" | "file" }, { upstream, dropped }: MediaOptions): Json {
  const { source, at } = part;
  const isImage = part.type === "image";
  const field = isImage ? "image_url.url" : source.kind === "id" ? "file.file_id" : "file.file_data";
  if (source.kind !== "base64") throw unsupported(upstream, `${at}.${field}`, "send the bytes in a data: URL");
  const said = part.from["image_url"];
  const detail = isRecord(said) ? said["detail"] : undefined;
  if (detail === "low" || detail === "high") dropped.add("image_url.detail");
  // A file may well be an image.
  const image = images[source.mediaType];
  if (image !== undefined) return { image: { format: image, source: { bytes: source.base64 } } };
  const format = isImage ? undefined : documents[source.mediaType];
  if (format === undefined) throw unsupported(upstream, `${at}.${field}`, "this media type is not known there");
  return { document: { format, name: documentName(part.type === "file" ? part.name : undefined), source: { bytes: source.base64 } } };
}

interface Message {
  content: readonly Json[];
}

function documentsOf({ content }: Message): readonly { name: string }[] {
  return content.flatMap(({ document }) => (isRecord(document) ? [document as unknown as { name: string }] : []));
}

/** Documents of one name are refused there, and so are documents without a text beside them: their names are one. */
export function tellDocuments(messages: readonly Message[]): void {
  const seen = new Map<string, number>();
  for (const document of messages.flatMap(documentsOf)) {
    const { name } = document;
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    if (times > 1) document.name = `${name} (${times})`;
  }
  for (const message of messages) {
    const { content } = message;
    const first = content.findIndex(({ document }) => document !== undefined);
    if (first < 0 || content.some(({ text }) => text !== undefined)) continue;
    const names = documentsOf(message).map(({ name }) => name);
    message.content = [...content.slice(0, first), { text: `Attached: ${names.join(", ")}` }, ...content.slice(first)];
  }
}

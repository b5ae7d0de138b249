import { invalid, isObject, quoted, unsupported, type Json } from "../openai/responses/json.ts";
import { isGiven } from "./fields.ts";

/** A text that has to be there. */
export function textAt(value: unknown, at: string): string {
  return typeof value === "string" ? value : invalid(at, "expected a string");
}

/** Where the prompt may be cached up to; a leaf that knows of it finds it on the part. */
export function hintOf({ cache_control: hint }: Json, at: string): Json {
  if (!isGiven(hint)) return {};
  return isObject(hint) ? { cache_control: hint } : invalid(`${at}.cache_control`, "expected an object");
}

function refuseCitations({ citations }: Json, at: string): void {
  if (isObject(citations) && citations["enabled"] === true) unsupported(`${at}.citations`, "a chat does not cite documents");
}

function dataUrl(source: Json, at: string): string {
  return `data:${textAt(source["media_type"], `${at}.media_type`)};base64,${textAt(source["data"], `${at}.data`)}`;
}

function sourceAt(block: Json, at: string): Json {
  const { source } = block;
  return isObject(source) ? source : invalid(`${at}.source`, "it is required");
}

function imagePart(block: Json, at: string): Json {
  const source = sourceAt(block, at);
  const where = `${at}.source`;
  switch (source["type"]) {
    case "base64":
      return { type: "image_url", image_url: { url: dataUrl(source, where) }, ...hintOf(block, at) };
    case "url":
      return { type: "image_url", image_url: { url: textAt(source["url"], `${where}.url`) }, ...hintOf(block, at) };
    case "file":
      return unsupported(`${where}.type`, "files are not kept here; send the image itself");
    default:
      return invalid(`${where}.type`, "expected one of base64, url");
  }
}

/** A document as text that every model can read, in a tag that tells what it is. */
function tagged(tag: string, names: Readonly<Record<string, unknown>>, text: string): string {
  const attributes = Object.entries(names).filter(([, value]) => typeof value === "string");
  return `<${tag}${attributes.map(([name, value]) => ` ${name}=${JSON.stringify(value)}`).join("")}>\n${text}\n</${tag}>`;
}

function textsOf(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) invalid(at, "expected a string or an array of blocks");
  const texts = content.map((block: unknown, index) => {
    if (!isObject(block) || block["type"] !== "text") return unsupported(`${at}[${index}].type`, "only text blocks can stand here");
    return textAt(block["text"], `${at}[${index}].text`);
  });
  return texts.join("\n");
}

function documentPart(block: Json, at: string): Json {
  refuseCitations(block, at);
  const source = sourceAt(block, at);
  const where = `${at}.source`;
  const { title, context } = block;
  const filename = typeof title === "string" && title !== "" ? title : "document.pdf";
  const file = (fields: Json): Json => ({ type: "file", file: { filename, ...fields }, ...hintOf(block, at) });
  const text = (said: string): Json => ({ type: "text", text: tagged("document", { title, context }, said), ...hintOf(block, at) });
  switch (source["type"]) {
    case "base64":
      return file({ file_data: dataUrl(source, where) });
    case "url":
      return file({ file_data: textAt(source["url"], `${where}.url`) });
    case "file":
      return { type: "file", file: { file_id: textAt(source["file_id"], `${where}.file_id`) }, ...hintOf(block, at) };
    case "text":
      return text(textAt(source["data"], `${where}.data`));
    case "content":
      return text(textsOf(source["content"], `${where}.content`));
    default:
      return invalid(`${where}.type`, "expected one of base64, text, content, url, file");
  }
}

/** Parts that a block is. What is said about a file stands before it: a chat's file has no place for it. */
function partsOfBlock(block: Json, at: string): readonly Json[] {
  switch (block["type"]) {
    case "text":
      return [{ type: "text", text: textAt(block["text"], `${at}.text`), ...hintOf(block, at) }];
    case "image":
      return [imagePart(block, at)];
    case "document": {
      const part = documentPart(block, at);
      const { context } = block;
      return part["type"] === "file" && typeof context === "string" ? [{ type: "text", text: context }, part] : [part];
    }
    case "search_result": {
      refuseCitations(block, at);
      const { source, title } = block;
      const text = tagged("search_result", { source, title }, textsOf(block["content"], `${at}.content`));
      return [{ type: "text", text, ...hintOf(block, at) }];
    }
    default:
      return typeof block["type"] === "string"
        ? unsupported(`${at}.type`, `blocks of type ${quoted(block["type"])} can not be sent to a chat here`)
        : invalid(`${at}.type`, "expected a string");
  }
}

/** Parts of one block of a user's message or of a tool's result. */
export function partsOf(block: unknown, at: string): readonly Json[] {
  return isObject(block) ? partsOfBlock(block, at) : invalid(at, "expected a block with a type");
}

/** Parts as the content of a chat message: a string where that says all, because every server reads it. */
export function contentOf(parts: readonly Json[]): string | readonly Json[] {
  const [only] = parts;
  if (!only) return "";
  return parts.length === 1 && only["type"] === "text" && Object.keys(only).length === 2 ? (only["text"] as string) : parts;
}

/** The content of a chat message that a text or a list of text blocks is. */
export function textContentOf(content: unknown, at: string): string | readonly Json[] {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) invalid(at, "expected a string or an array of text blocks");
  const parts = content.flatMap((block: unknown, index) => {
    const where = `${at}[${index}]`;
    if (isObject(block) && typeof block["type"] === "string" && block["type"] !== "text")
      return unsupported(`${where}.type`, "only text blocks can stand here");
    return partsOf(block, where);
  });
  return contentOf(parts);
}

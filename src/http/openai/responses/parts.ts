import { invalid, isObject, quoted, unsupported, type Json } from "./json.ts";

function text(value: unknown, param: string): string {
  return typeof value === "string" ? value : invalid(param, "expected a string");
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function image(part: Json, at: string): Json {
  const { image_url: url, detail, file_id: id } = part;
  if (isGiven(id)) unsupported(`${at}.file_id`, "files are not kept here; send the image as image_url");
  return { type: "image_url", image_url: { url: text(url, `${at}.image_url`), ...(isGiven(detail) ? { detail } : {}) } };
}

function file(part: Json, at: string): Json {
  if (isGiven(part["file_url"])) unsupported(`${at}.file_url`, "send the file's content as file_data");
  const fields = ["file_data", "file_id", "filename"].filter((key) => isGiven(part[key]));
  if (!fields.includes("file_data") && !fields.includes("file_id")) invalid(`${at}.file_data`, "it is required");
  return { type: "file", file: Object.fromEntries(fields.map((key) => [key, text(part[key], `${at}.${key}`)])) };
}

/** One part of a message's content as a chat has it. */
function partOf(part: unknown, at: string): Json {
  if (!isObject(part)) invalid(at, "expected a part with a type");
  switch (part["type"]) {
    case "input_text":
    case "output_text":
    case "text":
    case "summary_text":
    case "reasoning_text":
      return { type: "text", text: text(part["text"], `${at}.text`) };
    case "refusal":
      return { type: "refusal", refusal: text(part["refusal"], `${at}.refusal`) };
    case "input_image":
      return image(part, at);
    case "input_file":
      return file(part, at);
    case "input_audio":
      return isObject(part["input_audio"])
        ? { type: "input_audio", input_audio: part["input_audio"] }
        : invalid(`${at}.input_audio`, "expected an object");
    default:
      return typeof part["type"] === "string"
        ? unsupported(`${at}.type`, `parts of type ${quoted(part["type"])} can not be sent to a chat`)
        : invalid(`${at}.type`, "expected a string");
  }
}

/** The parts of a content that is a string or a list; a string is one part. */
export function partsOf(content: unknown, at: string): readonly Json[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (!Array.isArray(content)) invalid(at, "expected a string or an array of parts");
  return content.map((part, index) => partOf(part, `${at}[${index}]`));
}

/** Parts as the content of a chat message: a string where that says all, because every server reads it. */
export function contentOf(parts: readonly Json[]): string | readonly Json[] {
  const [only] = parts;
  if (parts.length === 0) return "";
  return parts.length === 1 && only?.["type"] === "text" ? (only["text"] as string) : parts;
}

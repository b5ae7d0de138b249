import { promptTokens } from "../../catalog/estimate.ts";
import type { ChatRequest } from "../../model/request.ts";
import { isObject } from "../openai/responses/json.ts";

/** What an image or a file is taken for: its bytes say nothing of the tokens that a model makes of it. */
const MEDIA_TOKENS = 1600;
const BYTES_PER_TOKEN = 4;

/** The length of a part's data where it is no text; undefined for a text. */
function mediaLength(part: unknown): number | undefined {
  if (!isObject(part)) return undefined;
  const { image_url: image, file } = part;
  const url = isObject(image) ? image["url"] : isObject(file) ? (file["file_data"] ?? file["file_id"]) : undefined;
  return typeof url === "string" ? url.length : undefined;
}

/** Tokens that a prompt has, roughly: by its size, as budgets reckon it too. */
export function estimatedTokens(request: ChatRequest): number {
  let tokens = promptTokens(request);
  for (const { content } of request.body.messages) {
    for (const part of Array.isArray(content) ? (content as readonly unknown[]) : []) {
      const length = mediaLength(part);
      if (length !== undefined) tokens += MEDIA_TOKENS - Math.floor(length / BYTES_PER_TOKEN);
    }
  }
  return Math.max(1, Math.round(tokens));
}

import { GatewayError } from "../../model/errors.ts";
import type { ChatBody } from "../../model/request.ts";

type Fields = Readonly<Record<string, unknown>>;

function isUrl(part: unknown): boolean {
  const file = (part as Fields | null)?.["file"];
  const data = typeof file === "object" && file !== null ? (file as Fields)["file_data"] : undefined;
  return typeof data === "string" && /^https?:\/\//i.test(data);
}

/** Refuses a file by its address: the OpenAI API has no field for that, and takes the address for the file. Throws an `incapable`. */
export function refuseFileUrls({ messages }: ChatBody, upstream: string): void {
  for (const [place, { content }] of messages.entries()) {
    if (!Array.isArray(content)) continue;
    const at = (content as readonly unknown[]).findIndex(isUrl);
    if (at < 0) continue;
    const param = `messages[${place}].content[${at}].file.file_data`;
    throw new GatewayError("incapable", `${upstream} takes files by their bytes, not by an address.`, { param, upstream, attempts: 0 });
  }
}

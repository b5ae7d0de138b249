import type { ChatRequest } from "../model/request.ts";

/** Whether the client asked for JSON, in any of the ways there are. */
export function asksJson({ body }: Pick<ChatRequest, "body">): boolean {
  const type = body.response_format?.type;
  return type === "json_schema" || type === "json_object";
}

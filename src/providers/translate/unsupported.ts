import { GatewayError } from "../../model/errors.ts";
import type { ChatBody } from "../../model/request.ts";

/** What can not be said in the dialect: refused by name, so that nobody believes that it was heard. Another model may know it. */
export function unsupported(upstream: string, param: string, why = ""): GatewayError {
  const message = `${upstream} does not support "${param}"${why === "" ? "" : `: ${why}`}.`;
  return new GatewayError("incapable", message, { param, upstream, attempts: 0 });
}

/** Throws for the first of these fields that asks for something. An empty value, `false` and the value that changes nothing ask for nothing. */
export function refuseFields(body: ChatBody, upstream: string, fields: Readonly<Record<string, unknown>>): void {
  for (const [field, idle] of Object.entries(fields)) {
    const value = body[field];
    if (value === undefined || value === null || value === false || value === idle) continue;
    if (typeof value === "object" && Object.keys(value).length === 0) continue;
    throw unsupported(upstream, field);
  }
}

import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { Explained } from "../catalog/explain.ts";
import { newTrace } from "../model/trace.ts";
import { findModel, readChat, type Finding } from "./chat.ts";
import type { Entered } from "./door.ts";
import { readNarrowing } from "./openai/narrow.ts";
import { sendJson } from "./reply.ts";

/** Says what a chat request would do, after the same checks. Nothing is sent, held or counted. Throws the error that the request would get. */
export function explainRequest(
  entered: Finding & Pick<Entered, "header" | "startMs">,
  headers: IncomingHttpHeaders,
  body: Buffer,
): Explained {
  const { request } = readChat(body);
  const { budget, caching } = readNarrowing(request.body["chorale"], headers);
  const entry = findModel(entered, request);
  const { asker: principal, header, startMs } = entered;
  const call = { principal, header, caching, trace: newTrace(startMs, false) };
  return entered.served.catalog.explain(entry, { request, call }, budget);
}

/** `POST /v1/chorale/explain`: a chat request, and which way it would take. */
export function explainChat(entered: Entered, reply: ServerResponse, headers: IncomingHttpHeaders, body: Buffer): void {
  sendJson(reply, explainRequest(entered, headers, body), entered.headers);
}

import type { Delivery } from "../../model/call.ts";
import { GatewayError } from "../../model/errors.ts";
import { isUntouched, renamedBytes, requestBytes, type ChatBody, type ChatRequest } from "../../model/request.ts";
import type { Dialect } from "./dialects.ts";

export interface WireRequest {
  readonly bytes: Buffer;
  /** The client asked for a usage chunk. */
  readonly wantsUsage: boolean;
  /** Fields that were left out because the server refuses them. */
  readonly dropped: readonly string[];
}

type Edits = Record<string, unknown>;

/** What a dialect changes, decided once per provider: where nothing can change, a request costs no look at its fields. */
export interface RequestWriter {
  write(request: ChatRequest, model: string, delivery: Delivery): WireRequest;
}

function systemRole(body: ChatBody): unknown {
  if (!body.messages.some((message) => message.role === "developer")) return undefined;
  return body.messages.map((message) => (message.role === "developer" ? { ...message, role: "system" } : message));
}

function dialectEdits(dialect: Dialect, body: ChatBody, upstream: string): { edits: Edits; dropped: string[] } {
  const edits: Edits = {};
  const dropped: string[] = [];
  for (const field of dialect.refuse ?? []) {
    const value = body[field];
    if (value === undefined || value === null || value === false) continue;
    throw new GatewayError("unsupported_parameter", `${upstream} does not support "${field}".`, { param: field, upstream });
  }
  for (const field of dialect.drop ?? []) {
    if (body[field] === undefined) continue;
    edits[field] = undefined;
    if (body[field] !== null && field !== "stream_options") dropped.push(field);
  }
  for (const [from, to] of Object.entries(dialect.rename ?? {})) {
    if (body[from] === undefined || body[from] === null) continue;
    edits[to] = body[from];
    edits[from] = undefined;
  }
  if (dialect.dropNulls) for (const field of Object.keys(body)) if (body[field] === null) edits[field] = undefined;
  const messages = dialect.systemOnly ? systemRole(body) : undefined;
  if (messages !== undefined) edits["messages"] = messages;
  if (dialect.toolChoiceRequired !== undefined && body.tool_choice === "required") edits["tool_choice"] = dialect.toolChoiceRequired;
  return { edits, dropped };
}

function streamEdits(dialect: Dialect, body: ChatBody, delivery: Delivery): Edits {
  if (delivery === "unary") {
    // `stream: false` may stay; a `stream_options` without a stream is refused by strict servers.
    const edits: Edits = {};
    if (body.stream) edits["stream"] = undefined;
    if (body.stream_options !== undefined) edits["stream_options"] = undefined;
    return edits;
  }
  const edits: Edits = body.stream === true ? {} : { stream: true };
  if (dialect.usageOnRequest === false) return edits;
  if (body.stream_options?.include_usage !== true) edits["stream_options"] = { ...body.stream_options, include_usage: true };
  return edits;
}

const nothing: readonly string[] = [];

/** Writes requests in a dialect: the client's bytes with the model's name spliced in, and what the dialect must change. */
export function requestWriter(dialect: Dialect, upstreamOf: (model: string) => string): RequestWriter {
  const changes = Boolean(
    dialect.drop ?? dialect.refuse ?? dialect.rename ?? dialect.dropNulls ?? dialect.systemOnly ?? dialect.toolChoiceRequired,
  );
  return {
    write(request, model, delivery) {
      const { body } = request;
      const asIs = !changes && delivery === "unary" && !body.stream && body.stream_options === undefined && isUntouched(request);
      if (asIs) return { bytes: renamedBytes(request, model), wantsUsage: false, dropped: nothing };
      const { edits, dropped } = changes ? dialectEdits(dialect, body, upstreamOf(model)) : { edits: {}, dropped: [] };
      const bytes = requestBytes(request, { ...edits, ...streamEdits(dialect, body, delivery), chorale: undefined, model });
      return { bytes, wantsUsage: body.stream_options?.include_usage === true, dropped };
    },
  };
}

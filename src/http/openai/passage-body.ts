import { GatewayError } from "../../model/errors.ts";
import { chatRequest, type ChatBody, type ChatRequest, type Source } from "../../model/request.ts";
import { wrongField } from "./check.ts";
import { whyNoText } from "./fail.ts";

export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Refuses a request by the name of its field. */
export function fail(param: string, message: string): never {
  throw new GatewayError("invalid_request", `Invalid '${param}': ${message}.`, { param });
}

/** A field that only some models can honour, asked of one that can not. */
export function unsupported(param: string, message: string): never {
  throw new GatewayError("unsupported_parameter", `Unsupported '${param}': ${message}.`, { param });
}

export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

export function isCount(value: unknown, min: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= min;
}

/** The body of an endpoint beside chat, as far as every one of them is the same. Null is absent. */
export function checkBody(body: unknown, fields: readonly string[]): Json & { readonly model: string } {
  if (!isObject(body)) throw new GatewayError("invalid_request", "The request body must be a JSON object.");
  const { model } = body;
  if (typeof model !== "string" || model === "") fail("model", whyNoText(model));
  for (const field of fields) {
    const wrong = wrongField(field, body[field]);
    if (wrong !== undefined) fail(field, wrong);
  }
  return { ...body, model };
}

/** The body in the one internal form: nothing is written, in one answer. The client's bytes stay what they are. */
export function unwritten(body: Json & { readonly model: string }, source: Source): ChatRequest {
  if (body["stream"] === true) unsupported("stream", "the answer of this endpoint comes whole");
  const { stream_options: _options, max_completion_tokens: _tokens, ...rest } = body;
  const inner: ChatBody = { ...rest, model: body.model, messages: [], stream: false, n: 1, max_tokens: 0 };
  return chatRequest(inner, source);
}

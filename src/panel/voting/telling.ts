import { scanJsonObject } from "../../model/json-scan.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { findJson } from "../answers/json.ts";
import { withoutThoughts } from "../answers/plain.ts";
import { asksJson } from "../json-format.ts";
import { takeConfidence, toShare, type Confident } from "./recalibrate.ts";

/** How the members of one request tell a confidence beside their answer. */
export interface Telling {
  /** The request in the format that has room for it. */
  readonly request: ChatRequest;
  /** What an answer has to look like, in words. */
  readonly form: string;
  /** The answer and the confidence in a text. Never throws. */
  readonly read: (text: string) => Confident;
}

/** The value of a key as it is written, so that its digits survive. */
function valueOf(json: string, key: string): string | undefined {
  const span = scanJsonObject(json).spans.get(key);
  return span && json.slice(span[1], span[2]);
}

function shareOf(written: string | undefined): number | undefined {
  const [, digits, unit] = /^"?\s*(\d+(?:\.\d+)?)\s*(%?)\s*"?$/.exec(written ?? "") ?? [];
  return digits === undefined ? undefined : toShare(digits, unit ?? "");
}

/** An answer in the client's own format, without the object round it, is read too: it tells no confidence, or one in a last line. */
function readWrapped(text: string): Confident {
  const json = findJson(withoutThoughts(text))?.shown.trim();
  const answer = json?.startsWith("{") ? valueOf(json, "answer") : undefined;
  if (json === undefined || answer === undefined) return takeConfidence(text);
  return { text: answer, confidence: shareOf(valueOf(json, "confidence")) };
}

/** The client's schema with a confidence beside it; undefined where it refers to its own root, which would be another one then. */
function wrapped(format: NonNullable<ChatRequest["body"]["response_format"]>): Readonly<Record<string, unknown>> | undefined {
  const schema = format.json_schema?.["schema"];
  if (schema === undefined || schema === null || JSON.stringify(schema).includes('"$ref"')) return undefined;
  const properties = { answer: schema, confidence: { type: "number" } };
  const outer = { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
  return { ...format, json_schema: { ...format.json_schema, schema: outer } };
}

/** Prose ends with a line that tells the confidence; where JSON was asked for, it stands in an object round the answer. */
export function tellingOf(request: ChatRequest): Telling {
  const format = request.body.response_format;
  if (!format || !asksJson(request)) {
    return { request, form: "End with one more line of its own, in this form:\n\nConfidence: <number>", read: takeConfidence };
  }
  const schema = format.json_schema?.["schema"];
  const shape =
    schema === undefined || schema === null ? "" : `\n\nThe answer in it has to satisfy this JSON schema: ${JSON.stringify(schema)}`;
  return {
    request: change(request, { response_format: wrapped(format) ?? { type: "json_object" } }),
    form: `Reply with JSON and nothing else: {"answer": <the answer as the conversation asks for it>, "confidence": <number>}${shape}`,
    read: readWrapped,
  };
}

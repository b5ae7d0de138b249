import { GatewayError } from "../../model/errors.ts";
import type { Delta, FinishReason, TokenLogprob } from "../../model/events.ts";
import type { Usage } from "../../model/usage.ts";
import type { Remembered } from "../translate/call-memory.ts";
import { isRecord, isText, RawJson, writeJson, type Json } from "../translate/json.ts";
import { inbandError } from "./errors.ts";
import { readUsage } from "./usage.ts";

const reasons: Readonly<Record<string, FinishReason>> = {
  STOP: "stop",
  MAX_TOKENS: "length",
  CONTINUATION: "length",
  SAFETY: "content_filter",
  RECITATION: "content_filter",
  BLOCKLIST: "content_filter",
  PROHIBITED_CONTENT: "content_filter",
  SPII: "content_filter",
  LANGUAGE: "content_filter",
};

/** Ends that are failures of the model: another try, or another model, may do better. */
const failures = new Set(
  (
    "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MALFORMED_RESPONSE MISSING_THOUGHT_SIGNATURE NO_IMAGE " +
    "OTHER IMAGE_OTHER"
  ).split(" "),
);

interface ChoiceState {
  calls: number;
  ended: boolean;
  images: Json[];
  /** Of the thoughts behind the text; those behind a call stand on the call. */
  signature: string | undefined;
}

export interface ReaderContext {
  readonly upstream: string;
  /** Ids of calls that come without one are made of this. */
  readonly callId: string;
  /** Keeps the signatures of calls for clients that do not send them back. */
  readonly signatures?: Pick<Remembered<string>, "keep">;
}

/** Where Google's own OpenAI endpoint puts a signature too, so that clients which know it there send it back. */
function signed(signature: unknown): Json | undefined {
  return isText(signature) ? { extra_content: { google: { thought_signature: signature } } } : undefined;
}

function tokenOf(value: unknown): Omit<TokenLogprob, "top_logprobs"> | undefined {
  if (!isRecord(value)) return undefined;
  const { token, logProbability: said } = value;
  const logprob = said instanceof RawJson ? Number(said.text) : said;
  if (typeof token !== "string" || typeof logprob !== "number") return undefined;
  return { token, logprob, bytes: [...Buffer.from(token)] };
}

function logprobsOf(result: unknown): readonly TokenLogprob[] {
  if (!isRecord(result) || !Array.isArray(result["chosenCandidates"])) return [];
  const tops: unknown = result["topCandidates"];
  return (result["chosenCandidates"] as readonly unknown[]).flatMap((chosen, at): TokenLogprob[] => {
    const token = tokenOf(chosen);
    const top: unknown = Array.isArray(tops) ? tops[at] : undefined;
    const candidates = isRecord(top) && Array.isArray(top["candidates"]) ? (top["candidates"] as readonly unknown[]) : [];
    return token ? [{ ...token, top_logprobs: candidates.flatMap((candidate) => tokenOf(candidate) ?? []) }] : [];
  });
}

/** Reads `GenerateContentResponse`s: the one of a whole answer, or the many of a stream. */
export class ResponseReader {
  readonly #context: ReaderContext;
  readonly #choices = new Map<number, ChoiceState>();
  #usage: Usage | undefined;
  #reply: { id?: string; model?: string } = {};

  constructor(context: ReaderContext) {
    this.#context = context;
  }

  get usage(): Usage | undefined {
    return this.#usage;
  }

  get reply(): { readonly id?: string; readonly model?: string } {
    return this.#reply;
  }

  get complete(): boolean {
    const states = [...this.#choices.values()];
    return states.length > 0 && states.every(({ ended }) => ended);
  }

  /** What a response brings. Throws a GatewayError for an error and for a prompt that was blocked. */
  take(response: Json): readonly Delta[] {
    const error = inbandError(this.#context.upstream, response);
    if (error) throw error;
    const { usageMetadata: usage, responseId: id, modelVersion: model, promptFeedback: feedback, candidates } = response;
    // Each response repeats the usage so far; the last that said anything holds.
    if (isRecord(usage)) this.#usage = readUsage(usage) ?? this.#usage;
    if (typeof id === "string") this.#reply.id = id;
    if (typeof model === "string") this.#reply.model = model;
    const list = Array.isArray(candidates) ? candidates.filter(isRecord) : [];
    const blocked = isRecord(feedback) ? feedback["blockReason"] : undefined;
    if (typeof blocked === "string" && list.length === 0) throw this.#blocked(blocked);
    return list.flatMap((candidate, position) => this.#candidate(candidate, position));
  }

  /** Throws unless every choice has ended. */
  end(): void {
    if (this.complete) return;
    const { upstream } = this.#context;
    const why = this.#choices.size === 0 ? "sent an answer without candidates" : "ended its answer without a finish reason";
    throw new GatewayError("upstream_protocol", `${upstream} ${why}.`, { upstream });
  }

  #blocked(reason: string): GatewayError {
    const { upstream } = this.#context;
    const word = /^\w{1,60}$/.test(reason) ? reason : "unknown";
    return new GatewayError("content_filter", `${upstream} blocked the prompt (${word}).`, { upstream, param: "messages" });
  }

  #candidate(candidate: Json, position: number): readonly Delta[] {
    const { index, content, finishReason, logprobsResult } = candidate;
    const choice = typeof index === "number" && Number.isInteger(index) && index >= 0 ? index : position;
    let state = this.#choices.get(choice);
    if (!state) this.#choices.set(choice, (state = { calls: 0, ended: false, images: [], signature: undefined }));
    // Nothing may follow the end of a choice.
    if (state.ended) return [];
    const parts = isRecord(content) && Array.isArray(content["parts"]) ? content["parts"].filter(isRecord) : [];
    const deltas = parts.flatMap((part) => this.#part(part, choice, state));
    const logprobs = logprobsOf(logprobsResult);
    if (logprobs.length > 0) deltas.push({ type: "logprobs", choice, content: logprobs, refusal: [] });
    if (isText(finishReason)) deltas.push(...this.#finish(finishReason, choice, state));
    return deltas;
  }

  #part(part: Json, choice: number, state: ChoiceState): readonly Delta[] {
    const { text, thought, functionCall, inlineData, thoughtSignature } = part;
    if (isRecord(functionCall)) return [this.#call(functionCall, thoughtSignature, { choice, index: state.calls++ })];
    if (isText(thoughtSignature)) state.signature = thoughtSignature;
    if (typeof text === "string") return text === "" ? [] : [{ type: thought === true ? "reasoning" : "text", choice, text }];
    if (isRecord(inlineData) && thought !== true) {
      const { mimeType, data } = inlineData;
      const url = `data:${String(mimeType)};base64,${String(data)}`;
      state.images.push({ type: "image_url", index: state.images.length, image_url: { url } });
    }
    return [];
  }

  #call(call: Json, signature: unknown, { choice, index }: { readonly choice: number; readonly index: number }): Delta {
    const { id, name, args } = call;
    const { callId, signatures } = this.#context;
    const extra = signed(signature);
    const known = isText(id) ? id : `call_${callId.slice(-24)}_${choice}_${index}`;
    if (isText(signature)) signatures?.keep(known, signature);
    return {
      type: "tool-call",
      choice,
      index,
      id: known,
      name: typeof name === "string" ? name : "",
      text: writeJson(isRecord(args) ? args : {}),
      ...(extra ? { extra } : {}),
    };
  }

  #finish(said: string, choice: number, state: ChoiceState): readonly Delta[] {
    const { upstream } = this.#context;
    const word = /^\w{1,60}$/.test(said) ? said : "unknown";
    if (failures.has(said)) throw new GatewayError("upstream_error", `${upstream} could not finish its answer (${word}).`, { upstream });
    state.ended = true;
    const reason = reasons[said] ?? (said.startsWith("IMAGE_") ? "content_filter" : "stop");
    const fields = { ...(state.images.length > 0 ? { images: state.images } : {}), ...signed(state.signature) };
    return [
      ...(Object.keys(fields).length > 0 ? [{ type: "extra" as const, choice, fields }] : []),
      {
        type: "end",
        choice,
        reason: reason === "stop" && state.calls > 0 ? "tool_calls" : reason,
        ...(reason === "content_filter" ? { extra: { native_finish_reason: word } } : {}),
      },
    ];
  }
}

import type { Signal } from "../../model/abort.ts";
import { enter, type Call } from "../../model/call.ts";
import { complete } from "../../model/complete.ts";
import { throwIfAborted, toGatewayError, type GatewayError } from "../../model/errors.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import type { Weighed } from "../assemble.ts";
import { fromChoice, fromLogprobs, normalised, uniform, type Distribution, type PollOption } from "./distribution.ts";
import { wholeDelivery } from "../flush.ts";
import { ask } from "../judging/judge.ts";
import type { Role } from "../seats.ts";
import { asideRequest } from "../turn.ts";
import { saidBy } from "../usable.ts";
import { gradesOf } from "../judging/verdict.ts";

/** How the shares of one community were read from its comment. */
export interface Reading {
  readonly community: string;
  readonly weight: number;
  readonly by: "logprobs" | "choice" | "stated" | "uniform";
  readonly shares: Distribution;
}

/** A community that could not be read. */
export interface Unread {
  readonly community: string;
  readonly why: string;
}

export interface Reader {
  readonly role: Role;
  /** The question about one comment, filled. */
  readonly prompt: (comment: Weighed, form: string) => string;
  readonly options: readonly PollOption[];
  /** Ask for numbers, instead of reading the probabilities of a letter. */
  readonly stated: boolean;
  readonly signal: Signal;
}

/** As many as the API tells. */
const TOP = 20;

function refusesLogprobs({ code }: GatewayError): boolean {
  return code === "upstream_invalid" || code === "unsupported_parameter" || code === "incapable";
}

async function byLetter(reader: Reader, comment: Weighed, request: ChatRequest, call: Call): Promise<Reading | Unread> {
  const { role, options, prompt, signal } = reader;
  const { label: community, weight } = comment;
  const step = { label: `reading ${community}`, settings: role.settings };
  const plain = asideRequest(request, prompt(comment, "the label of one option, and nothing else"), step);
  const tried = (asked: ChatRequest) =>
    complete(role.model, asked, enter(call, { label: step.label, member: true, delivery: wholeDelivery(call), signal }));
  let result = await tried(change(plain, { n: undefined, logprobs: true, top_logprobs: TOP }));
  // A model that does not tell its probabilities is asked for its choice alone.
  if (!result.ok && !signal.aborted && refusesLogprobs(result.error)) result = await tried(change(plain, { n: undefined }));
  if (!result.ok) return { community, why: signal.aborted ? "deadline" : result.error.code };
  const told = fromLogprobs(result.completion, options);
  if (told) return { community, weight, by: "logprobs", shares: told };
  const chosen = fromChoice(saidBy(result.completion), options);
  return chosen ? { community, weight, by: "choice", shares: chosen } : { community, weight, by: "uniform", shares: uniform(options) };
}

async function byNumbers(reader: Reader, comment: Weighed, request: ChatRequest, call: Call): Promise<Reading | Unread> {
  const { role, options, prompt, signal } = reader;
  const { label: community, weight } = comment;
  const labels = options.map(({ label }) => label);
  const form = gradesOf(labels, { min: 0, max: 1 });
  const text = prompt(comment, `JSON with the probability of each option: ${form.shape}`);
  const reply = await ask({ label: `reading ${community}`, judge: role, text, form }, request, call, { signal });
  if (!reply.ok && reply.why !== "no verdict") return { community, why: reply.why };
  const shares = reply.ok ? normalised(options, reply.value) : undefined;
  return shares ? { community, weight, by: "stated", shares } : { community, weight, by: "uniform", shares: uniform(options) };
}

/** Reads all comments at once, in their order. Throws only when the call was aborted, and then after all have ended. */
export async function readAll(
  reader: Reader,
  comments: readonly Weighed[],
  request: ChatRequest,
  call: Call,
): Promise<readonly (Reading | Unread)[]> {
  const one = reader.stated ? byNumbers : byLetter;
  const legs = await Promise.allSettled(comments.map((comment) => one(reader, comment, request, call)));
  throwIfAborted(call.signal);
  return legs.flatMap((leg) => {
    if (leg.status === "rejected") throw toGatewayError(leg.reason);
    return [leg.value];
  });
}

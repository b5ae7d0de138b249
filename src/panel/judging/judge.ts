/** Asking judges. A judge that fails is a value, never an exception; what to do without a verdict is the asker's, by a deterministic rule. */
import type { Signal } from "../../model/abort.ts";
import { enter, type Call } from "../../model/call.ts";
import { complete } from "../../model/complete.ts";
import { throwIfAborted, type GatewayError } from "../../model/errors.ts";
import type { Plan, Planned } from "../../model/plan.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { wholeDelivery } from "../flush.ts";
import type { Role, Seating } from "../seats.ts";
import { lettersOf, show, under, type Showable, type Shown } from "../showing.ts";
import { asideRequest } from "../turn.ts";
import { saidBy } from "../usable.ts";
import { oneOf, orderOf, readVerdict, type Form } from "./verdict.ts";

/** One question to one judge. */
export interface Question<T> {
  /** What the trace calls it, and what its seed derives from: `judge`, `judge a b`. */
  readonly label: string;
  readonly judge: Role;
  /** The instruction, filled. It comes after the conversation, as a turn of ours. */
  readonly text: string;
  /** What a verdict looks like. */
  readonly form: Form<T>;
}

/** What became of a question. */
export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  /** An error's code, `no verdict` for a reply that can not be read, or `deadline`. */
  | { readonly ok: false; readonly why: string };

export interface AskOptions {
  /** Ends the asking besides the call's own: a deadline. */
  readonly signal?: Signal;
}

/** Says once more, at the end, what a reply has to look like. */
function again({ text, form }: Question<unknown>): string {
  return `${text}\n\nReply with JSON of this form and nothing else: ${form.shape}`;
}

/** The conversation and our question; nothing that shapes the client's own answer, and `format` where the judge takes one. */
function requestOf<T>(
  question: Question<T>,
  request: ChatRequest,
  attempt: { readonly retry: boolean; readonly plain: boolean },
): ChatRequest {
  const { form, judge, label, text } = question;
  const step = { label: attempt.retry ? `${label} again` : label, settings: judge.settings };
  const aside = asideRequest(request, attempt.retry ? again(question) : text, step);
  const edits: Record<string, unknown> = aside.body.n === undefined ? {} : { n: undefined };
  if (!attempt.plain) {
    edits["response_format"] = { type: "json_schema", json_schema: { name: form.name, strict: true, schema: form.schema } };
  }
  return change(aside, edits);
}

interface Attempt<T> {
  readonly reply: Reply<T>;
  /** Why the model failed, when it was not by its words. */
  readonly error?: GatewayError;
}

async function attempt<T>(question: Question<T>, asked: ChatRequest, call: Call, signal: Signal): Promise<Attempt<T>> {
  const { form, judge, label } = question;
  // A slot of its own: many questions at once must not share the attempts of one.
  const inner = enter(call, { label, member: true, delivery: wholeDelivery(call), signal });
  const result = await complete(judge.model, asked, inner);
  if (!result.ok) return { reply: { ok: false, why: signal.aborted ? "deadline" : result.error.code }, error: result.error };
  const value = readVerdict(saidBy(result.completion), form);
  return { reply: value === undefined ? { ok: false, why: "no verdict" } : { ok: true, value } };
}

/** Whether a model may have refused the schema, not the question. */
function refusesFormat({ code }: GatewayError): boolean {
  return code === "upstream_invalid" || code === "unsupported_parameter" || code === "incapable";
}

/** Like `ask`, but tells an abort of the call as a failure too. */
async function tried<T>(question: Question<T>, request: ChatRequest, call: Call, { signal = call.signal }: AskOptions): Promise<Reply<T>> {
  if (signal.aborted || call.signal.aborted) return { ok: false, why: "deadline" };
  const { reply, error } = await attempt(question, requestOf(question, request, { retry: false, plain: false }), call, signal);
  if (reply.ok || signal.aborted || (error && !refusesFormat(error))) return reply;
  const again = await attempt(question, requestOf(question, request, { retry: true, plain: error !== undefined }), call, signal);
  return again.reply;
}

/**
 * Asks one judge one question. It gets the conversation and our turn, none of the client's tools, formats, limits, `n` or log-probabilities,
 * and the form as a strict `json_schema`.
 *
 * - A reply without a verdict costs one retry, and so does a model that refuses the schema: it is asked in words then. A model that fails is
 *   not asked again: that is for a `retry` node.
 * - Throws only when the call itself was aborted.
 */
export async function ask<T>(question: Question<T>, request: ChatRequest, call: Call, options: AskOptions = {}): Promise<Reply<T>> {
  const reply = await tried(question, request, call, options);
  throwIfAborted(call.signal);
  return reply;
}

/** Asks many questions at once; the replies come in their order. Throws only when the call was aborted, and then after all have ended. */
export async function askAll<T>(
  questions: readonly Question<T>[],
  request: ChatRequest,
  call: Call,
  options: AskOptions = {},
): Promise<readonly Reply<T>[]> {
  const replies = await Promise.all(questions.map((question) => tried(question, request, call, options)));
  throwIfAborted(call.signal);
  return replies;
}

/** What so many questions to this judge cost at best and at worst, the retry of each included; they are asked at once. */
export function planQuestions({ plan }: Planned, count = 1): Pick<Plan, "calls" | "depth"> {
  return { calls: [plan.calls[0] * count, plan.calls[1] * 2 * count], depth: plan.depth * 2 };
}

/** A judge of candidates. */
export interface Judge extends Role {
  /** Labels of the seats where its own model sits: it skips their answers. */
  readonly own: ReadonlySet<string>;
}

/**
 * Makes a judge of a role, at boot; `name` is its model's in the config, where it has one. Its own seats are those of the same name or model:
 * it can not judge what is written there, which `warn` is told.
 */
export function toJudge(role: Role, name: unknown, { places, reserves }: Seating, warn?: (message: string) => void): Judge {
  const own = [...places, ...reserves].filter((place) => place.name === name || place.model === role.model).map(({ label }) => label);
  if (own.length > 0) warn?.(`it judges a panel that it sits on, and skips its own answers (${own.join(", ")})`);
  return { ...role, own: new Set(own) };
}

/** Judges in order: the next is asked when one fails. */
export type Jury = readonly Judge[];

/** A verdict with who gave it. `failed` says why the judges before did not. */
export type Heard<T> = ({ readonly ok: true; readonly value: T; readonly judge: Judge } | { readonly ok: false }) & {
  readonly failed: readonly string[];
};

/** Puts a question to one judge after the other until there is a verdict. `toQuestion` makes it for each, or says why that judge is not asked. */
async function hear<T>(
  jury: Jury,
  toQuestion: (judge: Judge) => Question<T> | string,
  { request, call, ...options }: Sitting,
): Promise<Heard<T>> {
  const failed: string[] = [];
  for (const judge of jury) {
    const question = toQuestion(judge);
    if (typeof question === "string") {
      failed.push(question);
      continue;
    }
    const reply = await tried(question, request, call, options);
    if (reply.ok) return { ok: true, value: reply.value, judge, failed };
    failed.push(reply.why);
  }
  return { ok: false, failed };
}

/** What all questions about one set of candidates share. */
export interface Sitting extends AskOptions {
  readonly request: ChatRequest;
  readonly call: Call;
}

/** Puts one question for each of `subjects` to the jury, all at once. Throws only when the call was aborted, after all have ended. */
export async function hearAll<S, T>(
  subjects: readonly S[],
  jury: (subject: S) => Jury,
  toQuestion: (judge: Judge, subject: S) => Question<T> | string,
  sitting: Sitting,
): Promise<readonly Heard<T>[]> {
  const heard = await Promise.all(subjects.map((subject) => hear(jury(subject), (judge) => toQuestion(judge, subject), sitting)));
  throwIfAborted(sitting.call.signal);
  return heard;
}

/** How candidates are put before a judge. */
export interface Putting {
  /** Fills the prompt. It may have places for the candidates, the nonce and the form of the verdict, and none else. */
  readonly prompt: (variables: Readonly<Record<"candidates" | "nonce" | "form", string>>) => string;
  /** How much of each candidate is shown at most; an estimate. */
  readonly maxTokens: number;
}

/** A question about candidates, with what stands under which letter. */
export interface Put<T extends Showable, V> {
  readonly question: Question<V>;
  readonly shown: Shown<T>;
}

/** Makes the question: candidates anonymous, in an order of this question's own (`asGiven`: as they come), fenced, cut. */
export function put<T extends Showable, V>(
  items: readonly T[],
  given: Putting & {
    readonly judge: Role;
    readonly label: string;
    readonly asGiven?: boolean;
    readonly form: (letters: readonly string[]) => Form<V>;
  },
  { request, call }: Sitting,
): Put<T, V> {
  const { asGiven = false, judge, label, maxTokens, prompt } = given;
  const shown = show(items, { maxTokens, asGiven, purpose: `${label} order` }, request, call);
  const form = given.form(shown.letters.map(({ label: letter }) => letter));
  const text = prompt({ candidates: shown.candidates, nonce: shown.nonce, form: form.shape });
  return { question: { label, judge, text, form }, shown };
}

/** Which candidates a judge may judge: not its own. */
export function judgeable<T extends Showable>(items: readonly T[], { own }: Judge): readonly T[] {
  return own.size === 0 ? items : items.filter(({ label }) => !own.has(label));
}

/** Why a judge has nothing to compare. */
export const NOTHING = "fewer than two answers that are not its own";

/** A judge's pick. */
export type Picked<T> =
  | {
      readonly ok: true;
      readonly winner: T;
      /** Who decided. */
      readonly judge: Judge;
      /** Which letter was whose. */
      readonly letters: Readonly<Record<string, string>>;
      readonly failed: readonly string[];
    }
  | { readonly ok: false; readonly failed: readonly string[] };

/**
 * One judge sees all candidates and picks one (best of n). A judge skips its own; where it has fewer than two left, or fails, the next is
 * asked. Without any verdict the caller settles it: see `unjudged`.
 */
export async function bestOf<T extends Showable>(jury: Jury, items: readonly T[], putting: Putting, sitting: Sitting): Promise<Picked<T>> {
  const shownTo = new Map<Judge, Shown<T>>();
  const toQuestion = (judge: Judge) => {
    const pool = judgeable(items, judge);
    if (pool.length < 2) return NOTHING;
    const { question, shown } = put(pool, { ...putting, judge, label: judge.label, form: (letters) => oneOf(letters) }, sitting);
    shownTo.set(judge, shown);
    return question;
  };
  const heard = await hear(jury, toQuestion, sitting);
  throwIfAborted(sitting.call.signal);
  const { failed } = heard;
  const shown = heard.ok ? shownTo.get(heard.judge) : undefined;
  const winner = heard.ok && shown ? under(shown, heard.value) : undefined;
  if (!heard.ok || !shown || !winner) return { ok: false, failed };
  return { ok: true, winner, judge: heard.judge, letters: lettersOf(shown), failed };
}

/** A candidate's place in a judge's order: 1 is best. Those that the judge left out share the mean of the places that are left. */
export interface Ranked<T> {
  readonly item: T;
  readonly place: number;
}

/** The places that an order of letters gives. */
export function placesOf<T extends Showable>({ letters }: Shown<T>, order: readonly string[]): readonly Ranked<T>[] {
  const rest = (order.length + 1 + letters.length) / 2;
  return letters
    .map(({ label, item }) => ({ item, place: order.includes(label) ? order.indexOf(label) + 1 : rest }))
    .sort((a, b) => a.place - b.place);
}

/** What one reader of candidates is asked: to put all of them in order. */
export interface Ranker<T> {
  readonly judge: Role;
  /** What the trace calls its question. */
  readonly label: string;
  /** What it is shown. */
  readonly items: readonly T[];
}

/** An order with which letter was whose. */
export interface Order<T> {
  readonly places: readonly Ranked<T>[];
  readonly letters: Readonly<Record<string, string>>;
}

/** Each ranker puts what it is shown in order, all at once. The replies come in the order of the rankers; a failure is a value. */
export async function rankAll<T extends Showable>(
  rankers: readonly Ranker<T>[],
  putting: Putting,
  sitting: Sitting,
): Promise<readonly Reply<Order<T>>[]> {
  const puts = rankers.map(({ judge, label, items }) =>
    put(items, { ...putting, judge, label, form: (letters) => orderOf(letters) }, sitting),
  );
  const questions = puts.map(({ question }) => question);
  const replies = await askAll(questions, sitting.request, sitting.call, sitting);
  return replies.map((reply, index) => {
    const shown = puts[index]?.shown;
    if (!reply.ok || !shown) return reply.ok ? { ok: false, why: "no verdict" } : reply;
    return { ok: true, value: { places: placesOf(shown, reply.value), letters: lettersOf(shown) } };
  });
}

import type { Call } from "../../model/call.ts";
import { textOf } from "../../model/completion.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { measuredBy, type Asking, type Judged, type Verdict } from "./accept.ts";
import { ask, askAll, type Question } from "../judging/judge.ts";
import type { Role } from "../seats.ts";
import { freshSeed, seedOf } from "../seed.ts";
import { show } from "../showing.ts";
import { saidBy } from "../usable.ts";
import { numberOf, oneOf, type Form } from "../judging/verdict.ts";

/** Grades of a judge. */
export const GRADES = { min: 0, max: 10 };

/** Who is asked about an answer, and how. */
export interface Asker {
  /** Its label is what the trace calls the questions: `step 1 verify`. */
  readonly role: Role;
  /** Fills the prompt. It may have places for the answer, the nonce and the form of the verdict, and none else. */
  readonly prompt: (variables: Readonly<Record<"answer" | "nonce" | "form", string>>) => string;
  /** How much of the answer is shown at most; an estimate. */
  readonly maxTokens: number;
}

/** The answer as data between fences, and the question behind it. */
function questionOf<T>(
  { role, prompt, maxTokens }: Asker,
  { completion }: Judged,
  form: Form<T>,
  { request, call }: { readonly request: ChatRequest; readonly call: Call },
): Question<T> {
  const { nonce, candidates } = show([{ label: role.label, text: saidBy(completion) }], { maxTokens }, request, call);
  return { label: role.label, judge: role, text: prompt({ answer: candidates, nonce, form: form.shape }), form };
}

const CORRECT = "correct";
const correctness = oneOf([CORRECT, "incorrect"], "verdict");

/**
 * AutoMix (arXiv 2310.12963): the same model verifies its own answer several times, and the share of "correct" is measured. A reply without
 * a verdict counts as none, so it is never in favour; without a single verdict there is nothing to measure.
 */
export function selfVerify(asker: Asker, samples: number, min: number): Asking {
  const by = "selfVerify";
  return {
    by,
    questions: samples,
    async verdict(judged, request, call) {
      // Without a seed, and behind a cache, the samples would be one.
      const seeded = samples > 1 && seedOf(request) === undefined ? change(request, { seed: freshSeed(call) }) : request;
      const question = questionOf(asker, judged, correctness, { request: seeded, call });
      const questions = Array.from({ length: samples }, (_, index) => ({ ...question, label: `${question.label} ${index + 1}` }));
      const replies = await askAll(questions, seeded, call);
      const verdicts = replies.flatMap((reply) => (reply.ok ? [reply.value] : []));
      if (verdicts.length === 0) return unread(by, min, replies[0]?.ok === false ? replies[0].why : "no verdict");
      return measuredBy(by, verdicts.filter((verdict) => verdict === CORRECT).length / samples, min);
    },
  };
}

function unread(by: Asking["by"], threshold: number, reason: string): Verdict {
  return { accepted: false, by, threshold, reason };
}

const SURE = "sure";
const sureness = oneOf([SURE, "unsure"], "verdict");

/**
 * Just asks: the model sees its own answer as the last turn and says whether it is sure of it. Asked apart from the answer, so that the client's
 * schema, stop sequences and limits touch neither, and no marker has to be cut out of a text.
 */
export function askSure({ role, prompt }: Pick<Asker, "role"> & { readonly prompt: (form: string) => string }): Asking {
  const by = "ask";
  return {
    by,
    questions: 1,
    async verdict({ completion }, request, call) {
      const answered = change(request, { messages: [...request.body.messages, { role: "assistant", content: textOf(completion) }] });
      const question: Question<string> = { label: role.label, judge: role, text: prompt(sureness.shape), form: sureness };
      const reply = await ask(question, answered, call);
      return reply.ok ? measuredBy(by, reply.value === SURE ? 1 : 0, 1) : unread(by, 1, reply.why);
    },
  };
}

/** A scorer as in FrugalGPT (arXiv 2305.05176), played by a judge: another model grades the answer. */
export function graded(asker: Asker, min: number): Asking {
  const by = "judge";
  const grade = numberOf(GRADES, "grade");
  return {
    by,
    questions: 1,
    async verdict(judged, request, call) {
      const reply = await ask(questionOf(asker, judged, grade, { request, call }), request, call);
      return reply.ok ? measuredBy(by, reply.value, min) : unread(by, min, reply.why);
    },
  };
}

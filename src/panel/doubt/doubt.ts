/** Gates that say whether an answer is sure enough to be given: AbstainQA, arXiv 2402.00367. */
import type { Completion } from "../../model/completion.ts";
import { confidence, tokenLogprobs, type Measure } from "../cascade/confidence.ts";
import { ask, put, type Putting, type Sitting } from "../judging/judge.ts";
import type { Role } from "../seats.ts";
import type { Showable } from "../showing.ts";
import { numberOf } from "../judging/verdict.ts";

/** The answer that is doubted. */
export interface Doubted extends Showable {
  readonly completion: Completion;
  /** The share of the votes behind it, where its model tells that. */
  readonly agreement?: number | undefined;
  /** What it may have come to, where votes were not waited for. */
  readonly atMost?: number | undefined;
}

/** What a gate found. */
export type Finding =
  | {
      readonly ok: true;
      readonly sure: boolean;
      /** How sure, 0 to 1, where it is more than yes or no. */
      readonly score?: number;
      /** What the score may have come to, where votes were not waited for. */
      readonly atMost?: number | undefined;
      /** Why not, for the client. */
      readonly why: string;
      /** For the record: plain JSON. */
      readonly told?: Readonly<Record<string, unknown>>;
    }
  /** It could not be read. */
  | { readonly ok: false; readonly why: string; readonly told?: Readonly<Record<string, unknown>> };

/** A gate. Throws only when the call was aborted. */
export type Gate = (answer: Doubted, sitting: Sitting) => Promise<Finding>;

/** Sure when the log-probabilities of the answer's tokens, measured so, are at least `min`. Asks nobody. */
export function byLogprob(measure: Measure, min: number): Gate {
  return ({ completion }) => {
    const measured = confidence(tokenLogprobs(completion), measure);
    if (measured === undefined) return Promise.resolve({ ok: false, why: "the answer came without log-probabilities" });
    const why = `the log-probability of its tokens is too low (${measured.toFixed(2)})`;
    return Promise.resolve({ ok: true, sure: measured >= min, why, told: { measured, threshold: min } });
  };
}

/** Sure when the model tells that enough of its votes are behind the answer. Asks nobody. */
export function byToldAgreement(min: number): Gate {
  return ({ agreement, atMost }) => {
    if (agreement === undefined) return Promise.resolve({ ok: false, why: "the model told no agreement" });
    const why = `too few agree (${agreement.toFixed(2)})`;
    const told = { measured: agreement, ...(atMost === undefined ? {} : { atMost }), threshold: min };
    return Promise.resolve({ ok: true, sure: agreement >= min, score: agreement, atMost, why, told });
  };
}

/** Sure when somebody, the model itself as a rule, gives the answer at least this probability of being right. */
export function byAsking(judge: Role, min: number, putting: Putting): Gate {
  return async (answer, sitting) => {
    const { question } = put(
      [answer],
      { ...putting, judge, label: "ask", form: () => numberOf({ min: 0, max: 1 }, "confidence") },
      sitting,
    );
    const reply = await ask(question, sitting.request, sitting.call, sitting);
    if (!reply.ok) return { ok: false, why: `confidence: ${reply.why}` };
    const measured = reply.value;
    const why = `the confidence in it is too low (${measured.toFixed(2)})`;
    return { ok: true, sure: measured >= min, score: measured, why, told: { measured, threshold: min } };
  };
}

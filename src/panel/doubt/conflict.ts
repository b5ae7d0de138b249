/** The gate by conflict: another model argues for another answer; who changes its mind was not sure. */
import { change, type ChatRequest } from "../../model/request.ts";
import { ruleOf } from "../voting/agreement.ts";
import { extractAnswer, type AnswerRule } from "../answers/answers.ts";
import { answerAside, writeAside, type Aside } from "../aside.ts";
import { fenced, newNonce, shownText } from "../candidates.ts";
import type { Doubted, Finding, Gate } from "./doubt.ts";
import type { Putting, Sitting } from "../judging/judge.ts";
import { withSeed, withSettings, type Role } from "../seats.ts";
import { byYesNo } from "../voting/semantic.ts";
import { withTurn } from "../turn.ts";

type Fill<Places extends string> = (variables: Readonly<Record<Places, string>>) => string;

export interface Conflicts {
  /** Who answered, and is asked again. */
  readonly self: Role;
  /** Another model: one that argues against itself knows the counter-arguments already. */
  readonly challenger: Role;
  readonly count: number;
  /** How many changes of mind are doubt. */
  readonly change: "any" | "majority";
  readonly argue: Fill<"candidates" | "other" | "nonce">;
  readonly again: Fill<"passage" | "nonce">;
  /** How answers are compared that have no short form. */
  readonly same: Putting;
  readonly maxTokens: number;
}

/** Other options of the question than the one chosen, from the next one on, round to the first: the same ones each time. */
function otherOptions(rule: AnswerRule, text: string, count: number): readonly string[] {
  const options = rule.kind === "choice" ? (rule.options ?? []) : [];
  const chosen = extractAnswer(text, rule)?.key;
  const at = options.findIndex((option) => extractAnswer(option, rule)?.key === chosen);
  if (chosen === undefined || at < 0) return [];
  return [...options.slice(at + 1), ...options.slice(0, at)].slice(0, count);
}

/** The client's own request with our turn: the second answer has to have the form of the first. Log-probabilities are not needed. */
function askedAgain(request: ChatRequest, text: string, { label, settings }: Role): ChatRequest {
  const asked = withSeed(withSettings(withTurn(request, text), settings), label);
  const extra = ["logprobs", "top_logprobs", "n"].filter((field) => asked.body[field] !== undefined);
  return extra.length > 0 ? change(asked, Object.fromEntries(extra.map((field) => [field, undefined]))) : asked;
}

/** Longer keys are prose, which no second answer words alike. */
const PROSE = 200;

/**
 * Whether two answers are the same: by their extracted forms where both have a short one, else in the eyes of the challenger. Undefined
 * without a verdict.
 */
async function isSame(
  conflict: { readonly label: string; readonly text: string },
  answer: Doubted,
  { challenger, same }: Conflicts,
  sitting: Sitting,
): Promise<boolean | undefined> {
  const rule = ruleOf({ answer: "auto" }, sitting.request);
  const [first, second] = [extractAnswer(answer.text, rule)?.key, extractAnswer(conflict.text, rule)?.key];
  if (first !== undefined && first === second) return true;
  if (first !== undefined && second !== undefined && first.length <= PROSE && second.length <= PROSE) return false;
  const wordings = [
    { key: "first", label: answer.label, text: answer.text, formal: false },
    { key: "second", label: conflict.label, text: conflict.text, formal: false },
  ];
  const compared = await byYesNo(challenger, same)(wordings, sitting);
  return compared.ok ? compared.groups.length === 1 : undefined;
}

function findingOf(changed: readonly boolean[], { change, count }: Conflicts, lost: readonly string[]): Finding {
  const told = { conflicts: changed.length, changed: changed.filter(Boolean).length };
  if (changed.length === 0) return { ok: false, why: `no conflict could be read (${lost.join(", ")})`, told };
  const sure = change === "any" ? told.changed === 0 : told.changed * 2 <= told.conflicts;
  const score = 1 - told.changed / told.conflicts;
  const missing = changed.length < count ? { missing: lost } : {};
  return { ok: true, sure, score, why: "the model changed its answer when another was argued for", told: { ...told, ...missing } };
}

/**
 * The challenger argues for another answer; the model reads that as help that may be wrong, and answers again; an answer that changed is
 * doubt. Of a question with options the other answer is one of those, else the challenger thinks of one. All conflicts at once. What fails
 * is left out.
 */
export function byConflict(conflicts: Conflicts): Gate {
  const { again, argue, challenger, count, maxTokens, self } = conflicts;
  return async (answer, sitting) => {
    const { request, call } = sitting;
    const others = otherOptions(ruleOf({ answer: "auto" }, request), answer.text, count);
    const asides = Array.from({ length: count }, (_, index): Aside => {
      const nonce = newNonce(call.random);
      const candidates = fenced("answer A", shownText(answer.text, maxTokens), nonce);
      const option = others[index % Math.max(1, others.length)];
      const other = option === undefined ? "another answer that is plausible; begin with that answer" : `this answer: ${option}`;
      return { label: `conflict ${index + 1}`, role: challenger, text: argue({ candidates, other, nonce }) };
    });
    const lost: string[] = [];
    const came = (labels: readonly string[], replies: Awaited<ReturnType<typeof writeAside>>) =>
      replies.flatMap((reply, index) => {
        const label = labels[index] ?? "";
        if (reply.ok) return [{ label, text: reply.value }];
        lost.push(`${label}: ${reply.why}`);
        return [];
      });
    const labels = asides.map(({ label }) => label);
    const passages = came(labels, await writeAside(asides, sitting));
    const second = passages.map(({ label, text }) => {
      const nonce = newNonce(call.random);
      const role: Role = { ...self, label: label.replace("conflict", "again") };
      const turn = again({ passage: fenced("passage", shownText(text, maxTokens), nonce), nonce });
      return { label: role.label, role, request: askedAgain(request, turn, role) };
    });
    const answers = came(
      second.map(({ label }) => label),
      await answerAside(second, sitting),
    );
    const verdicts = await Promise.all(answers.map((conflict) => isSame(conflict, answer, conflicts, sitting)));
    for (const [index, verdict] of verdicts.entries()) if (verdict === undefined) lost.push(`${answers[index]?.label}: no comparison`);
    return findingOf(
      verdicts.filter((verdict) => verdict !== undefined).map((verdict) => !verdict),
      conflicts,
      lost,
    );
  };
}

/**
 * Gates by reviews: others, or the same model with knowledge of several fields, review the answer; a chair reads them and says whether it
 * is right.
 */
import { writeAside, type Aside } from "../aside.ts";
import { fenced, newNonce, shownText } from "../candidates.ts";
import type { Doubted, Finding, Gate } from "./doubt.ts";
import { ask, type Reply, type Sitting } from "../judging/judge.ts";
import type { Role } from "../seats.ts";
import { show } from "../showing.ts";
import { oneOf } from "../judging/verdict.ts";

type Fill<Places extends string> = (variables: Readonly<Record<Places, string>>) => string;

/** The chair and what it is asked. */
export interface Chair {
  readonly role: Role;
  readonly prompt: Fill<"candidates" | "reviews" | "nonce" | "form">;
  /** What is shown of an answer, a review or a passage at most; an estimate. */
  readonly maxTokens: number;
}

interface Review {
  readonly label: string;
  readonly text: string;
}

function shownAnswer({ text }: Doubted, maxTokens: number, nonce: string): string {
  return fenced("answer A", shownText(text, maxTokens), nonce);
}

/** What came of some texts, and why the others did not. */
function parted(
  labels: readonly string[],
  replies: readonly Reply<string>[],
): { readonly came: readonly Review[]; readonly lost: readonly string[] } {
  const came: Review[] = [];
  const lost: string[] = [];
  for (const [index, reply] of replies.entries()) {
    if (reply.ok) came.push({ label: labels[index] ?? "", text: reply.value });
    else lost.push(`${labels[index]}: ${reply.why}`);
  }
  return { came, lost };
}

/** The chair's verdict. Without a single review it would only be asked for its own opinion, so that the gate can not be read. */
async function judged(
  { role, prompt, maxTokens }: Chair,
  answer: Doubted,
  { came, lost }: ReturnType<typeof parted>,
  sitting: Sitting,
): Promise<Finding> {
  const { request, call } = sitting;
  if (came.length === 0) return { ok: false, why: `no review came (${lost.join(", ")})` };
  if (lost.length > 0)
    call.trace.warnings.push(`abstain: ${lost.length} of ${came.length + lost.length} reviews are missing (${lost.join(", ")})`);
  const { nonce, candidates: reviews, letters } = show(came, { maxTokens, purpose: "reviews order", what: "review" }, request, call);
  const form = oneOf(["right", "wrong"], "verdict");
  const text = prompt({ candidates: shownAnswer(answer, maxTokens, nonce), reviews, nonce, form: form.shape });
  const told = { reviews: Object.fromEntries(letters.map(({ label, item }) => [label, item.label])) };
  const reply = await ask({ label: "chair", judge: role, text, form }, request, call, sitting);
  if (!reply.ok) return { ok: false, why: `chair: ${reply.why}`, told };
  return { ok: true, sure: reply.value === "right", why: "the chair holds it to be wrong", told: { ...told, verdict: reply.value } };
}

/** Others review the answer, all at once, then the chair judges. */
export function byOthers(reviewers: readonly Role[], review: Fill<"candidates" | "knowledge" | "nonce">, chair: Chair): Gate {
  return async (answer, sitting) => {
    const asides = reviewers.map((role): Aside => {
      const nonce = newNonce(sitting.call.random);
      const text = review({ candidates: shownAnswer(answer, chair.maxTokens, nonce), knowledge: "", nonce });
      return { label: role.label, role, text };
    });
    const labels = asides.map(({ label }) => label);
    return judged(chair, answer, parted(labels, await writeAside(asides, sitting)), sitting);
  };
}

/** What the model is asked of itself. */
export interface Introspection {
  /** Kinds of knowledge, each a step of its own. */
  readonly domains: readonly string[];
  readonly knowledge: Fill<"domain">;
  readonly review: Fill<"candidates" | "knowledge" | "nonce">;
}

/** The model writes what it knows of each domain, reviews its own answer with each of these, and judges with all reviews. */
export function bySelf(self: Role, { domains, knowledge, review }: Introspection, chair: Chair): Gate {
  return async (answer, sitting) => {
    const labels = domains.map((_, index) => `knowledge ${index + 1}`);
    const passages = await writeAside(
      domains.map((domain, index) => ({ label: labels[index] ?? "", role: self, text: knowledge({ domain }) })),
      sitting,
    );
    const { came, lost } = parted(labels, passages);
    const asides = came.map(({ label, text: passage }): Aside => {
      const nonce = newNonce(sitting.call.random);
      const known = `\n\nWhat follows was written on the subject. It may help, and it may be wrong.\n\n${fenced("passage", shownText(passage, chair.maxTokens), nonce)}`;
      const text = review({ candidates: shownAnswer(answer, chair.maxTokens, nonce), knowledge: known, nonce });
      return { label: label.replace("knowledge", "review"), role: self, text };
    });
    const reviewed = parted(
      asides.map(({ label }) => label),
      await writeAside(asides, sitting),
    );
    return judged(chair, answer, { came: reviewed.came, lost: [...lost, ...reviewed.lost] }, sitting);
  };
}

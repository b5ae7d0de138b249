/** Asks the model whose answer is doubted, and settles what its gate found. */
import type { Signal } from "../../model/abort.ts";
import { enter, type Call } from "../../model/call.ts";
import { complete } from "../../model/complete.ts";
import { GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { abstain } from "./abstention.ts";
import { assemble, type Assembly } from "../assemble.ts";
import { ruleOf, type Comparison } from "../voting/agreement.ts";
import { stopRule } from "../voting/ballots.ts";
import { withoutLogprobs } from "../cascade/confidence.ts";
import type { Doubted, Finding, Gate } from "./doubt.ts";
import { elect } from "../voting/election.ts";
import { agreed, flush, wholeDelivery } from "../flush.ts";
import type { Sitting } from "../judging/judge.ts";
import { openPatience } from "../patience.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "../repair.ts";
import { validatorOf, type Validator } from "../schema.ts";
import type { Role } from "../seats.ts";
import { emptiness, isRefusal, saidBy } from "../usable.ts";

/** Several samples of the model, and the share of them that has to say the same. */
export interface Sampling {
  readonly assembly: Assembly;
  readonly comparison: Comparison;
  readonly min: number;
}

/** A model whose answers are given when a gate is sure of them. */
export interface Doubting {
  /** The node's name. */
  readonly name: string;
  readonly by: string;
  readonly self: Role;
  /** What an abstention says. */
  readonly text: string;
  readonly deadlineMs: number | undefined;
  readonly repairPrompt: RepairPrompt;
  readonly gate:
    /** `agreement` is what a gate asks of the agreement that the model tells, where it reads that. */
    | { readonly type: "asked"; readonly of: Gate; readonly logprobs: boolean; readonly agreement?: number }
    | { readonly type: "sampled"; readonly of: Sampling };
}

/** An answer with what is known of it. A refusal says itself that there is none, so nobody is asked about it. */
type Asked = { readonly answer: Doubted; readonly finding?: Finding };

function repair(doubting: Doubting, validator: Validator, signal: Signal) {
  return { writer: doubting.self, prompt: doubting.repairPrompt, validator, signal };
}

/** How the model is asked once, for a gate. */
type Asking = Extract<Doubting["gate"], { readonly type: "asked" }>;

/** One answer, valid under the request's schema. */
async function askOnce(
  doubting: Doubting,
  { request, call, signal = call.signal }: Sitting,
  { logprobs, agreement: mark }: Asking,
): Promise<Doubted> {
  const { name, self } = doubting;
  const marks = mark === undefined ? [] : [...(call.marks ?? []), mark];
  const validator = validatorOf(request);
  const asked = logprobs && request.body.logprobs !== true ? change(request, { logprobs: true }) : request;
  const result = await complete(self.model, asked, enter(call, { label: self.label, delivery: wholeDelivery(call), signal, marks }));
  if (!result.ok) throw result.error;
  const { completion, finish } = result;
  const empty = emptiness(completion, "usable");
  if (empty !== undefined) throw new GatewayError("unusable_answer", `${name}: ${empty}.`, { upstream: self.model.name });
  const text = saidBy(completion);
  const reason = isRefusal(completion) ? undefined : validator?.(text);
  if (validator === undefined || reason === undefined) {
    return { label: self.label, text, completion, agreement: finish.agreement, atMost: finish.agreementAtMost };
  }
  const repaired = await repairOnce(repair(doubting, validator, signal), { text, reason }, request, call);
  if (repaired === undefined) throw schemaUnsatisfied(name, { text, reason });
  return { label: "repair", text: saidBy(repaired), completion: repaired };
}

/** Several answers and the one that most give. */
async function askOften(doubting: Doubting, { assembly, comparison, min }: Sampling, sitting: Sitting): Promise<Asked> {
  const { request, call, signal = call.signal } = sitting;
  const validator = validatorOf(request);
  const rule = ruleOf(comparison, request);
  const { stop, out } = stopRule({ by: "unassailable", marks: [...(call.marks ?? []), min] }, rule, assembly.seating);
  const { candidates, early, invalid } = await assemble(assembly, request, call, { validator, stop });
  const outcome = elect(candidates, { rule, json: "whole", validator, out: out(early) });
  if (outcome !== undefined) {
    const { agreement, atMost, completion, counted, votes, winner } = outcome;
    const answer = { label: winner ?? "", text: saidBy(completion), completion, agreement };
    if (counted === 0) return { answer, finding: { ok: false, why: "no answers could be compared" } };
    const why = `too few of the samples agree (${agreement.toFixed(2)})`;
    const told = { votes, measured: agreement, ...(atMost === undefined ? {} : { atMost }), threshold: min };
    return { answer, finding: { ok: true, sure: agreement >= min, score: agreement, atMost, why, told } };
  }
  if (validator === undefined || invalid === undefined) throw new GatewayError("internal", `${doubting.name} has no answers to settle.`);
  const repaired = await repairOnce(repair(doubting, validator, signal), invalid, request, call);
  if (repaired === undefined) throw schemaUnsatisfied(doubting.name, invalid);
  return { answer: { label: "repair", text: saidBy(repaired), completion: repaired }, finding: { ok: false, why: "no sample was valid" } };
}

async function asked({ gate, ...doubting }: Doubting, sitting: Sitting): Promise<Asked> {
  if (gate.type === "sampled") return askOften({ gate, ...doubting }, gate.of, sitting);
  const answer = await askOnce({ gate, ...doubting }, sitting, gate);
  return isRefusal(answer.completion) ? { answer } : { answer, finding: await gate.of(answer, sitting) };
}

/**
 * Answers, or says that there is no sure answer. A gate that can not be read is no reason to be sure: in doubt there is no answer, which is
 * recorded as a degradation, because nobody found the answer wrong.
 */
export async function* answerOrAbstain(doubting: Doubting, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { by, gate, name, text } = doubting;
  using patience = openPatience(call, doubting.deadlineMs);
  const { answer, finding } = await asked(doubting, { request, call, signal: patience.signal });
  const hidden = gate.type === "asked" && gate.logprobs && request.body.logprobs !== true;
  const completion = hidden ? withoutLogprobs(answer.completion) : answer.completion;
  if (finding === undefined) {
    call.span.decision = { by, answered: answer.label, refused: true };
    yield* flush(completion, call, { agreement: 0 });
    return;
  }
  const { told = {}, why } = finding;
  if (finding.ok && finding.sure) {
    call.span.decision = { by, ...told, answered: answer.label };
    yield* flush(completion, call, agreed({ agreement: finding.score ?? 1, atMost: finding.atMost }));
    return;
  }
  call.span.decision = told;
  if (!finding.ok) call.trace.degraded.push(`abstain: ${why}, in doubt no answer is given`);
  yield* abstain({ name, text, by, why }, request, call);
}

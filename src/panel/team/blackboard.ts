import { enter, type Call } from "../../model/call.ts";
import { complete } from "../../model/complete.ts";
import { GatewayError, throwIfAborted, toGatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { extractAnswer, resolveAuto, type AnswerKind, type AnswerRule } from "../answers/answers.ts";
import { poll, shortage, type Assembly, type Polled, type Weighed } from "../assemble.ts";
import { actions, boardText, conclusionsOf, turnOf, type Action, type BoardSize, type Entry, type Turn } from "./board.ts";
import { newNonce, shuffled } from "../candidates.ts";
import { lastUserText } from "../conversation.ts";
import { elect } from "../voting/election.ts";
import { flush, wholeDelivery } from "../flush.ts";
import { ask } from "../judging/judge.ts";
import { asksJson } from "../json-format.ts";
import { medoid } from "../voting/medoid.ts";
import { openPatience, type Patience } from "../patience.ts";
import { repairOnce, schemaUnsatisfied, type RepairPrompt } from "../repair.ts";
import { validatorOf, type Validator } from "../schema.ts";
import { withSeed, withSettings, type Place, type Role } from "../seats.ts";
import { drawsOf } from "../seed.ts";
import { asideRequest, withTurn } from "../turn.ts";
import { emptiness, isCut, saidBy } from "../usable.ts";

type Fill = (variables: Readonly<Record<string, string>>) => string;

/** A blackboard as it was built. */
export interface Blackboard {
  readonly assembly: Assembly;
  readonly decider: Role;
  readonly maxTurns: number;
  readonly size: BoardSize;
  readonly answer: Exclude<AnswerKind, "regex">;
  readonly close: "vote" | "last";
  readonly deadlineMs: number | undefined;
  readonly deciderPrompt: Fill;
  /** What an agent is asked at its turn. */
  readonly prompts: Readonly<Record<Action, Fill>>;
  readonly repairPrompt: RepairPrompt;
}

interface Agent {
  readonly letter: string;
  readonly place: Place;
}

/** One request at the board. */
interface Session {
  readonly built: Blackboard;
  readonly request: ChatRequest;
  readonly call: Call;
  readonly patience: Patience;
  readonly validator: Validator | undefined;
  readonly nonce: string;
  readonly agents: readonly Agent[];
  /** Letters of those whose turn failed: they are not asked again for one. */
  readonly lost: Set<string>;
  readonly entries: Entry[];
}

const ANY_SIZE = { usd: 0, tokens: 0 };

function board({ built, entries, nonce }: Session): { readonly board: string; readonly nonce: string } {
  return { board: boardText(entries, built.size, nonce), nonce };
}

/** Who may speak: nobody twice in a row, unless nobody else is left. */
function ready({ agents, entries, lost }: Session): readonly string[] {
  const left = agents.map(({ letter }) => letter).filter((letter) => !lost.has(letter));
  const others = left.filter((letter) => letter !== entries.at(-1)?.by);
  return others.length > 0 ? others : left;
}

/** Without a decider: each who has not spoken yet works once, in order, then it ends. */
function inOrder({ agents, entries, lost }: Session): Turn {
  const next = agents.find(({ letter }) => !lost.has(letter) && !entries.some(({ by }) => by === letter));
  return next ? { end: false, next: next.letter, action: "work" } : { end: true };
}

/** What the decider says; undefined when it says nothing that can be read, which is noted. */
async function decided(session: Session, letters: readonly string[]): Promise<Turn | undefined> {
  const { built, call, entries, patience, request } = session;
  const form = turnOf(letters, entries.length === 0);
  const left = String(built.maxTurns - entries.length);
  const text = built.deciderPrompt({ ...board(session), agents: letters.join(", "), left, form: form.shape });
  const question = { label: `decider ${entries.length + 1}`, judge: built.decider, text, form };
  const reply = await ask(question, request, call, { signal: patience.signal });
  if (reply.ok) return reply.value;
  if (reply.why !== "deadline") call.trace.degraded.push(`blackboard: the decider can not be read (${reply.why}), the agents go in order`);
  return undefined;
}

/** An agent's turn. What it concludes may be the answer, so that is asked for under the client's own fields. */
async function post(session: Session, { letter, place }: Agent, action: Action): Promise<void> {
  const { built, call, entries, patience, request, lost } = session;
  const label = `${place.label} ${entries.length + 1}`;
  const content = built.prompts[action](board(session));
  const asked =
    action === "conclude"
      ? withSeed(withSettings(withTurn(request, content), place.settings), label)
      : asideRequest(request, content, { label, settings: place.settings });
  const inner = enter(call, { label: place.label, member: true, delivery: wholeDelivery(call), signal: patience.signal });
  const result = await complete(place.model, asked, inner);
  throwIfAborted(call.signal);
  if (result.ok && emptiness(result.completion, "unusable") === undefined)
    entries.push({ by: letter, action, completion: result.completion });
  else lost.add(letter);
}

/** Turn after turn until the decider ends it, or the turns, the time, the money or the agents have run out. */
async function talk(session: Session): Promise<string> {
  const { agents, built, call, lost, patience } = session;
  let asks = true;
  for (let turn = 0; turn < built.maxTurns; turn += 1) {
    if (patience.signal.aborted) return "deadline";
    if (lost.size === agents.length) return "nobody left";
    if (!call.budget.allows(ANY_SIZE, agents.length + 2)) {
      call.trace.degraded.push(`blackboard: budget_denied after ${turn} ${turn === 1 ? "turn" : "turns"}`);
      return "budget_denied";
    }
    const verdict: Turn | undefined = asks ? await decided(session, ready(session)) : undefined;
    asks = verdict !== undefined;
    if (patience.signal.aborted) return "deadline";
    const next = verdict ?? inOrder(session);
    if (next.end) return verdict ? "decider" : "all have spoken";
    const agent = agents.find(({ letter }) => letter === next.next);
    if (agent) await post(session, agent, next.action);
  }
  return "turns";
}

function weighed({ agents }: Session, { by, completion }: Entry): Weighed {
  const seat = agents.findIndex(({ letter }) => letter === by);
  const place = agents[seat]?.place;
  return { seat, label: place?.label ?? by, completion, ms: 0, weight: place?.weight ?? 1, text: saidBy(completion) };
}

function ruleOf({ built, request }: Session): AnswerRule {
  if (built.answer === "auto" && asksJson(request)) return { kind: "json" };
  return resolveAuto({ kind: built.answer }, lastUserText(request.body.messages));
}

/** The conclusion on the board, where there is one on which those who concluded agree, or the last one settles it. */
function concluded(session: Session): Weighed | undefined {
  const { built, entries, validator } = session;
  const found = conclusionsOf(entries)
    .filter(({ completion }) => !isCut(completion))
    .map((entry) => weighed(session, entry))
    .filter(({ text }) => validator?.(text) === undefined);
  const last = found.at(-1);
  if (built.close === "last" || found.length < 2) return last;
  const rule = ruleOf(session);
  const keys = new Set(found.map(({ text }) => extractAnswer(text, rule)?.key));
  return keys.size === 1 && !keys.has(undefined) ? last : undefined;
}

function decide({ call }: Session, told: Readonly<Record<string, unknown>>): void {
  call.span.decision = { ...call.span.decision, ...told };
}

/** What stands on the board in place of an answer: the text most like the others of what each agent wrote last. */
function instead(session: Session, why: string, error: GatewayError): Generator<ModelEvent> {
  const { agents, built, call, entries, validator } = session;
  const latest = agents
    .map(({ letter }) => entries.findLast(({ by, action }) => by === letter && action !== "criticise"))
    .filter((entry) => entry !== undefined)
    .map((entry) => weighed(session, entry))
    .filter(({ text }) => validator?.(text) === undefined);
  const winner = latest[medoid(latest.map(({ text }) => text))];
  if (winner === undefined || built.assembly.onShort === "fail") throw error;
  call.trace.degraded.push(`blackboard: ${why}, an entry of the board was taken`);
  decide(session, { by: "board", winner: winner.label });
  return flush(winner.completion, call);
}

/** Too few agents answered at the end. */
async function short(session: Session, polled: Polled): Promise<Iterable<ModelEvent>> {
  const { agents, built, call, patience, request, validator } = session;
  const { name } = built.assembly;
  const { invalid } = polled;
  const [first] = agents;
  if (invalid !== undefined && validator !== undefined && first !== undefined) {
    const repair = { writer: first.place, prompt: built.repairPrompt, validator, signal: patience.signal };
    const repaired = await repairOnce(repair, invalid, request, call);
    throwIfAborted(call.signal);
    decide(session, { repaired: repaired !== undefined });
    return repaired ? flush(repaired, call) : instead(session, "schema_unsatisfied", schemaUnsatisfied(name, invalid));
  }
  return instead(session, "nobody answered", shortage(`${name} has no usable answer`, polled));
}

/** All agents answer, having read the board, and vote by that. */
async function vote(session: Session): Promise<Iterable<ModelEvent>> {
  const { built, call, patience, request, validator } = session;
  const { assembly, prompts } = built;
  if (patience.signal.aborted) return instead(session, "deadline", toGatewayError(patience.signal.reason, patience.signal));
  const leftMs = patience.leftMs();
  const timed = { ...assembly, quorum: { ...assembly.quorum, ...(leftMs === undefined ? {} : { deadlineMs: leftMs }) } };
  const polled = await poll(timed, withTurn(request, prompts.conclude(board(session))), call, { validator });
  const { candidates } = polled;
  if (candidates.length < assembly.quorum.min) {
    const what = `${candidates.length} of ${assembly.quorum.min} usable answers`;
    if (assembly.onShort === "fail") throw shortage(`${assembly.name} has ${what}`, polled);
    call.trace.degraded.push(`quorum: ${what}`);
  }
  const outcome = elect(candidates, { rule: ruleOf(session), json: "whole", validator });
  if (outcome === undefined) return short(session, polled);
  const { agreement, by, completion, votes, winner } = outcome;
  decide(session, { by, votes, agreement, ...(winner === undefined ? {} : { winner }) });
  if (by === "medoid") call.trace.degraded.push("blackboard: no answers could be compared, the medoid was taken");
  return flush(completion, call, { agreement });
}

/** One request at the board: turns, then the conclusion that stands there, or a vote. */
export async function* meet(built: Blackboard, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const validator = validatorOf(request);
  using patience = openPatience(call, built.deadlineMs);
  const order = shuffled(built.assembly.seating.places, drawsOf(request, call, "agents"));
  const agents = order.map(({ label, item }) => ({ letter: label, place: item }));
  const nonce = newNonce(call.random);
  const session: Session = { built, request, call, patience, validator, nonce, agents, lost: new Set(), entries: [] };
  const ended = await talk(session);
  throwIfAborted(call.signal);
  const { entries } = session;
  decide(session, {
    agents: Object.fromEntries(agents.map(({ letter, place }) => [letter, place.label])),
    turns: entries.map(({ by, action }) => ({ by, action })),
    ended,
  });
  const conclusion = concluded(session);
  if (conclusion === undefined) {
    yield* await vote(session);
    return;
  }
  decide(session, { by: "conclusion", winner: conclusion.label });
  yield* flush(conclusion.completion, call);
}

/** One prompt for each action. */
export function promptsFor(read: (action: Action) => Fill): Blackboard["prompts"] {
  const [propose, work, criticise, conclude] = actions.map(read);
  if (!propose || !work || !criticise || !conclude) throw new GatewayError("internal", "An action has no prompt.");
  return { propose, work, criticise, conclude };
}

import { enter, type Call, type Delivery } from "../../model/call.ts";
import { Collector } from "../../model/collect.ts";
import { complete } from "../../model/complete.ts";
import type { Completion } from "../../model/completion.ts";
import { GatewayError, throwIfAborted, toGatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import type { ChatRequest } from "../../model/request.ts";
import { openScope, type Scope } from "../../model/scope.ts";
import type { Weighed } from "../assemble.ts";
import { fenced, newNonce, shownText } from "../candidates.ts";
import { runDag, type Made } from "./dag-run.ts";
import type { Dag, DagNode } from "./dag.ts";
import { flush, ownCompletion, wholeDelivery } from "../flush.ts";
import { inspection } from "./inspection.ts";
import { ask } from "../judging/judge.ts";
import { openPatience, type Patience } from "../patience.ts";
import { schemaUnsatisfied, type RepairPrompt } from "../repair.ts";
import { validatorOf, type Validator } from "../schema.ts";
import type { Role } from "../seats.ts";
import type { Template } from "./template.ts";
import { asideRequest, withTurn } from "../turn.ts";
import { emptiness, saidBy } from "../usable.ts";
import { medoidInstead, write, type Events } from "../writer.ts";

/** A node of a team: a model with a part to play, or a place where works are put together. */
export interface TeamNode extends DagNode {
  /** Absent where nobody writes: the inputs are joined. */
  readonly role?: Role;
  /** What stands between joined inputs. */
  readonly join?: string;
  /** Its part in words. With places for its inputs they stand there, else below. */
  readonly part?: Template;
}

type Fill = (variables: Readonly<Record<string, string>>) => string;

/** A graph of models as it was built. */
export interface Team {
  readonly name: string;
  readonly dag: Dag;
  readonly nodes: ReadonlyMap<string, TeamNode>;
  /** How often each verify node may send work back. */
  readonly turns: number;
  readonly maxInputTokens: number;
  readonly onShort: "degrade" | "fail";
  readonly deadlineMs: number | undefined;
  readonly prompts: Readonly<Record<"work" | "answer" | "verify" | "back", Fill>>;
  readonly repairPrompt: RepairPrompt;
}

interface Work extends Made {
  /** Undefined when it could not be made. */
  readonly completion: Completion | undefined;
}

/** One request on its way through the graph. */
interface Session {
  readonly team: Team;
  readonly request: ChatRequest;
  readonly call: Call;
  readonly patience: Patience;
  readonly scope: Scope;
  readonly nonce: string;
  readonly validator: Validator | undefined;
  /** The last work of each node, for when it is to be mended. */
  readonly before: Map<string, Completion>;
  /** What a verdict says to the node whose work it sends back. */
  readonly feedback: Map<string, string>;
  readonly verdicts: { readonly node: string; readonly pass: boolean }[];
}

type MadeOf = ReadonlyMap<string, Work>;

const ANY_SIZE = { usd: 0, tokens: 0 };

const MISSING = "[this part could not be made]";

function nodeOf({ nodes }: Team, name: string): TeamNode {
  const node = nodes.get(name);
  if (!node) throw new GatewayError("internal", `There is no node ${name}.`);
  return node;
}

/** What a node reads of another, fenced. */
function workOf({ team, nonce }: Session, name: string, made: MadeOf): string {
  const completion = made.get(name)?.completion;
  return fenced(`work of ${name}`, completion ? shownText(saidBy(completion), team.maxInputTokens) : MISSING, nonce);
}

/** A node's turn: its part, what it reads, and what it has to mend. */
function turnOf(session: Session, node: TeamNode, made: MadeOf): string {
  const { team, nonce, before, feedback } = session;
  const { name, part, inputs, verify } = node;
  const works = inputs.map((input) => workOf(session, input, made));
  const placed = part !== undefined && part.places.length > 0;
  const role = part?.fill(Object.fromEntries(inputs.map((input, index) => [input, works[index] ?? ""]))) ?? "";
  const [own, note] = [before.get(name), feedback.get(name)];
  const text = (completion: Completion) => shownText(saidBy(completion), team.maxInputTokens);
  const back =
    own === undefined || note === undefined
      ? ""
      : team.prompts.back({
          nonce,
          own: fenced("your last work", text(own), nonce),
          feedback: fenced("what the check said", shownText(note || "(nothing)", team.maxInputTokens), nonce),
        });
  const paragraphs = { role, inputs: placed ? "" : works.join("\n\n"), back };
  const spaced = Object.fromEntries(Object.entries(paragraphs).map(([key, value]) => [key, value === "" ? "" : `\n${value}\n`]));
  const prompt = verify === undefined ? (name === team.dag.sink ? "answer" : "work") : "verify";
  return team.prompts[prompt]({ ...spaced, nonce, form: inspection.shape });
}

/** A node without its work: those who read it are told, or all ends. Work that was there before stands. */
function lose(session: Session, name: string, error: GatewayError): Work {
  const { call, patience, scope, team, before } = session;
  throwIfAborted(call.signal);
  if (team.onShort === "fail") {
    scope.abort(new GatewayError("cancelled", `No longer needed: ${name} could not be made.`));
    throw error;
  }
  call.trace.degraded.push(`graph: ${name} could not be made (${patience.signal.aborted ? "deadline" : error.code})`);
  return { completion: before.get(name) };
}

/** Another node may end this one, where a lost node ends all. */
function deliveryFor({ team, call }: Session): Delivery {
  return team.onShort === "fail" ? "metered" : wholeDelivery(call);
}

async function work(session: Session, node: TeamNode, role: Role, made: MadeOf): Promise<Work> {
  const { request, call, scope } = session;
  const inner = enter(call, { label: node.name, member: true, delivery: deliveryFor(session), signal: scope.signal });
  const result = await complete(role.model, asideRequest(request, turnOf(session, node, made), role), inner);
  if (!result.ok) return lose(session, node.name, result.error);
  const why = emptiness(result.completion, "unusable");
  if (why === undefined) return { completion: result.completion };
  return lose(session, node.name, new GatewayError("unusable_answer", `${node.name}: ${why}.`, { upstream: node.name }));
}

function join(session: Session, { name, inputs, join: between = "" }: TeamNode, made: MadeOf): Work {
  const parts = inputs.map((input) => made.get(input)?.completion).filter((completion) => completion !== undefined);
  if (parts.length > 0) return { completion: ownCompletion(parts.map(saidBy).join(between)) };
  return lose(session, name, new GatewayError("unusable_answer", `${name} has nothing to put together.`));
}

/** A verdict on what the node reads. Without one that can be read, and when its turns are used up, the work passes. */
async function verify(session: Session, node: TeamNode, role: Role, made: MadeOf): Promise<Work> {
  const { request, call, scope, team, feedback, verdicts } = session;
  const { name, verify: target = "" } = node;
  if (node.inputs.every((input) => made.get(input)?.completion === undefined)) return { completion: undefined };
  // The answer comes first: a check that would take its room is left out.
  const after = team.dag.held ? 0 : 1;
  if (!call.budget.allows(ANY_SIZE, 1 + after)) {
    call.trace.degraded.push(`graph: ${name} was left out (budget_denied)`);
    return { completion: undefined };
  }
  const question = { label: name, judge: role, text: turnOf(session, node, made), form: inspection };
  const reply = await ask(question, request, call, { signal: scope.signal });
  if (!reply.ok) {
    call.trace.degraded.push(`graph: ${name} gave no verdict (${reply.why}), the work passed`);
    return { completion: undefined };
  }
  const { pass, feedback: note } = reply.value;
  const sent = verdicts.filter((one) => one.node === name && !one.pass).length;
  verdicts.push({ node: name, pass });
  if (pass) return { completion: ownCompletion(note || "It passes.") };
  const room = call.budget.allows(ANY_SIZE, (team.dag.again.get(name)?.length ?? 0) + after);
  if (sent < team.turns && room) {
    feedback.set(target, note);
    return { completion: undefined, back: true };
  }
  const turns = `${sent} ${sent === 1 ? "turn" : "turns"}`;
  call.trace.degraded.push(`graph: ${name} did not pass the work, ${room ? "also " : ""}after ${turns}${room ? "" : " (budget_denied)"}`);
  return { completion: ownCompletion(note || "It does not pass.") };
}

/** Works that could be the answer when nobody writes it: what the sink reads, verdicts aside, valid under a schema. */
function candidatesOf({ team, validator }: Session, { inputs }: TeamNode, made: MadeOf): readonly Weighed[] {
  if (team.onShort === "fail") return [];
  return inputs.flatMap((label, seat): Weighed[] => {
    const completion = nodeOf(team, label).verify === undefined ? made.get(label)?.completion : undefined;
    const text = completion && saidBy(completion);
    if (completion === undefined || text === undefined || validator?.(text) !== undefined) return [];
    return [{ seat, label, completion, text, ms: 0, weight: 1 }];
  });
}

/** The answer, written by the sink under the client's own settings and schema. */
async function answer(session: Session, sink: TeamNode, made: MadeOf): Promise<Events> {
  const { before, call, patience, request, team, validator } = session;
  if (sink.role === undefined) {
    const { completion } = join(session, sink, made);
    if (completion === undefined) throw new GatewayError("unusable_answer", `${team.name} has nothing to put together.`);
    const text = saidBy(completion);
    const reason = validator?.(text);
    if (reason !== undefined) throw schemaUnsatisfied(team.name, { text, reason });
    return flush(completion, call);
  }
  const earlier = before.get(sink.name);
  const stead: Weighed | undefined = earlier && {
    seat: -1,
    label: sink.name,
    completion: earlier,
    text: saidBy(earlier),
    ms: 0,
    weight: 1,
  };
  const writing = {
    writer: sink.role,
    repairPrompt: team.repairPrompt,
    candidates: candidatesOf(session, sink, made),
    validator,
    patience,
    call,
    ...(stead && { stead: { candidate: stead, what: "work before the check" } }),
  };
  if (patience.signal.aborted) return medoidInstead(writing, "deadline", toGatewayError(patience.signal.reason, patience.signal));
  return write(writing, withTurn(request, turnOf(session, sink, made)));
}

/** The answer whole, for somebody who judges it. */
async function heldAnswer(session: Session, sink: TeamNode, made: MadeOf): Promise<Work> {
  const { call } = session;
  const collector = new Collector();
  const events = await answer({ ...session, call: { ...call, delivery: wholeDelivery(call) } }, sink, made);
  for await (const event of events) collector.add(event);
  return { completion: collector.completion() };
}

async function make(session: Session, name: string, made: MadeOf): Promise<Work> {
  const { team, scope, before, feedback } = session;
  const node = nodeOf(team, name);
  const { role } = node;
  if (scope.signal.aborted && name !== team.dag.sink) return lose(session, name, toGatewayError(scope.signal.reason, scope.signal));
  if (node.verify !== undefined && role) return verify(session, node, role, made);
  const done = await (name === team.dag.sink
    ? heldAnswer(session, node, made)
    : role
      ? work(session, node, role, made)
      : Promise.resolve(join(session, node, made)));
  if (done.completion) before.set(name, done.completion);
  feedback.delete(name);
  return done;
}

/**
 * One request through the graph. All but the sink is made first, then the sink answers, and streams; where somebody judges its answer, it is held
 * until it has passed.
 */
export async function* teamwork(team: Team, request: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  using patience = openPatience(call, team.deadlineMs);
  using scope = openScope(patience.signal);
  const { dag } = team;
  const sink = nodeOf(team, dag.sink);
  const session: Session = {
    team,
    request,
    call,
    patience,
    scope,
    nonce: newNonce(call.random),
    validator: validatorOf(request),
    before: new Map(),
    feedback: new Map(),
    verdicts: [],
  };
  const names = dag.held ? dag.order : dag.order.filter((name) => name !== dag.sink);
  const made = await runDag<Work>(dag, names, (name, done) => make(session, name, done));
  throwIfAborted(call.signal);
  const { verdicts } = session;
  call.span.decision = {
    ...call.span.decision,
    output: dag.sink,
    answered: sink.role ? "writer" : null,
    ...(verdicts.length > 0 && { verdicts }),
  };
  const completion = made.get(dag.sink)?.completion;
  yield* completion ? flush(completion, call) : await answer(session, sink, made);
}

/** What a panel of communities makes of a request: comments first, then one of three kinds of answer. */
import type { Call } from "../../model/call.ts";
import { allFailed, GatewayError } from "../../model/errors.ts";
import type { ModelEvent } from "../../model/events.ts";
import { change, type ChatRequest } from "../../model/request.ts";
import { assemble, type Assembly, type Weighed } from "../assemble.ts";
import { findOptions } from "../answers/options.ts";
import { fenced, newNonce, shownText } from "../candidates.ts";
import { lastUserText } from "../conversation.ts";
import { drawn, mean, modeOf, rounded, toPollOptions, type Distribution, type PollOption } from "./distribution.ts";
import { flush, ownCompletion } from "../flush.ts";
import { ask } from "../judging/judge.ts";
import { asksJson } from "../json-format.ts";
import { openPatience, type Patience } from "../patience.ts";
import { readAll, type Reading } from "./readings.ts";
import type { RepairPrompt } from "../repair.ts";
import { validatorOf, type Validator } from "../schema.ts";
import type { Role } from "../seats.ts";
import { drawsOf } from "../seed.ts";
import { lettersOf, show, under } from "../showing.ts";
import { asideRequest, withTurn } from "../turn.ts";
import { oneOf } from "../judging/verdict.ts";
import { medoidInstead, write, type Events, type Stead } from "../writer.ts";

type Fill = (variables: Readonly<Record<string, string>>) => string;

/** One answer that holds all views. */
interface Overton {
  readonly mode: "overton";
  readonly prompt: Fill;
}

/** An answer that reflects one attribute. */
interface Steerable {
  readonly mode: "steerable";
  readonly attribute: string | undefined;
  /** The key of the request's `metadata` that goes before it. */
  readonly attributeKey: string;
  readonly pickPrompt: Fill;
  readonly prompt: Fill;
}

/** The shares of opinion. */
interface Distributional {
  readonly mode: "distributional";
  readonly options: readonly string[] | undefined;
  readonly stated: boolean;
  readonly answer: "written" | "sampled";
  readonly readPrompt: Fill;
  readonly prompt: Fill;
}

/** A panel of communities as it was built. */
export interface Plural {
  readonly assembly: Assembly;
  readonly writer: Role;
  readonly commentPrompt: Fill;
  readonly maxCommentTokens: number;
  readonly repairPrompt: RepairPrompt;
  readonly way: Overton | Steerable | Distributional;
}

/** One request after its comments. */
interface Session {
  readonly built: Plural;
  readonly comments: readonly Weighed[];
  readonly request: ChatRequest;
  readonly call: Call;
  readonly patience: Patience;
  readonly validator: Validator | undefined;
}

const ANY_SIZE = { usd: 0, tokens: 0 };

function decide({ call }: Pick<Session, "call">, told: Readonly<Record<string, unknown>>): void {
  call.span.decision = { ...call.span.decision, ...told };
}

/** The writer's answer; when it fails `stead` stands in, else the comment most like the others. */
function writeWith(session: Session, content: string, stead?: Stead): Promise<Events> {
  const { built, call, comments, patience, request, validator } = session;
  const { repairPrompt, writer } = built;
  const valid = ({ text }: Weighed) => validator?.(text) === undefined;
  const candidates = stead ? [] : comments.filter(valid);
  const writing = {
    writer,
    repairPrompt,
    candidates,
    validator,
    patience,
    call,
    stead: stead && valid(stead.candidate) ? stead : undefined,
  };
  if (patience.signal.aborted) return Promise.resolve(medoidInstead(writing, "deadline", late()));
  return write(writing, withTurn(request, content));
}

function late(): GatewayError {
  return new GatewayError("upstream_timeout", "The panel's deadline passed.");
}

function overton(session: Session, { prompt }: Overton): Promise<Events> {
  const { built, call, comments, request } = session;
  const shown = show(comments, { maxTokens: built.maxCommentTokens, what: "comment" }, request, call);
  decide(session, { communities: lettersOf(shown) });
  return writeWith(session, prompt({ nonce: shown.nonce, candidates: shown.candidates }));
}

/** The comment that reflects the attribute best; without a verdict, the first community's. */
async function pick(session: Session, attribute: string, { pickPrompt }: Steerable): Promise<Weighed | undefined> {
  const { built, call, comments, patience, request } = session;
  const [first, ...others] = comments;
  if (others.length === 0) return first;
  const without = (why: string) => {
    call.trace.degraded.push(`pluralism: nobody picked a community (${why}), the first was taken`);
    return first;
  };
  if (!call.budget.allows(ANY_SIZE, 2)) return without("budget_denied");
  const shown = show(comments, { maxTokens: built.maxCommentTokens, what: "comment" }, request, call);
  const form = oneOf(
    shown.letters.map(({ label }) => label),
    "community",
  );
  const text = pickPrompt({
    candidates: shown.candidates,
    nonce: shown.nonce,
    attribute: fenced("attribute", attribute, shown.nonce),
    form: form.shape,
  });
  decide(session, { communities: lettersOf(shown) });
  const reply = await ask({ label: "pick", judge: built.writer, text, form }, request, call, { signal: patience.signal });
  return reply.ok ? under(shown, reply.value) : without(reply.why);
}

async function steerable(session: Session, attribute: string, way: Steerable): Promise<Events> {
  const { built, call } = session;
  const picked = await pick(session, attribute, way);
  if (picked === undefined) throw new GatewayError("internal", `${built.assembly.name} has no comment to answer with.`);
  decide(session, { attribute, community: picked.label });
  const nonce = newNonce(call.random);
  const content = way.prompt({
    nonce,
    attribute: fenced("attribute", attribute, nonce),
    comment: fenced("comment", shownText(picked.text, built.maxCommentTokens), nonce),
  });
  return writeWith(session, content, { candidate: picked, what: "comment of the community" });
}

/** The readings of all comments that the budget has room for, the first ones first. */
async function readings(session: Session, options: readonly PollOption[], way: Distributional): Promise<readonly Reading[]> {
  const { built, call, comments, patience, request } = session;
  const { assembly, maxCommentTokens, writer: role } = built;
  const after = way.answer === "written" ? 1 : 0;
  let count = comments.length;
  while (count > 1 && !call.budget.allows(ANY_SIZE, count + after)) count -= 1;
  if (count < comments.length) call.trace.degraded.push(`pluralism: budget_denied, ${count} of ${comments.length} communities were read`);
  const nonce = newNonce(call.random);
  const shown = options.map((option) => option.shown).join("\n");
  const prompt = ({ text }: Weighed, form: string) =>
    way.readPrompt({ nonce, comment: fenced("comment", shownText(text, maxCommentTokens), nonce), options: shown, form });
  const reader = { role, prompt, options, stated: way.stated, signal: patience.signal };
  const all = await readAll(reader, comments.slice(0, count), request, call);
  const read = all.flatMap((one) => ("why" in one ? [] : [one]));
  for (const one of all) if ("why" in one) call.trace.degraded.push(`pluralism: ${one.community} could not be read (${one.why})`);
  const blank = read.filter(({ by }) => by === "uniform").map(({ community }) => community);
  if (blank.length > 0) call.trace.degraded.push(`pluralism: nothing was told of ${blank.join(", ")}, all options count the same there`);
  if (read.length > 0 && (read.length >= assembly.quorum.min || assembly.onShort === "degrade")) return read;
  const losses = all.flatMap((one) => ("why" in one ? [new GatewayError("unusable_answer", `${one.community}: ${one.why}.`)] : []));
  throw allFailed(`${assembly.name} could read ${read.length} of ${assembly.quorum.min} communities`, losses);
}

function percent(share: number): string {
  return `${Math.round(Math.round(share * 1e6) / 1e3) / 10} %`;
}

async function distributional(session: Session, options: readonly PollOption[], way: Distributional): Promise<Events> {
  const { built, call, request } = session;
  const read = await readings(session, options, way);
  const shares = mean(options, read) ?? ({} satisfies Distribution);
  const mode = modeOf(options, shares);
  if (mode === undefined) throw new GatewayError("internal", `${built.assembly.name} has no options.`);
  decide(session, {
    distribution: rounded(shares),
    options: Object.fromEntries(options.map(({ label, written }) => [label, written])),
    likeliest: mode.label,
    readings: read.map(({ community, weight, by, shares: own }) => ({ community, weight, by, distribution: rounded(own) })),
  });
  if (way.answer === "sampled") {
    const option = drawn(options, shares, drawsOf(request, call, "sample")()) ?? mode;
    decide(session, { sampled: option.label, answered: null });
    return flush(ownCompletion(option.written), call);
  }
  const lines = options.map(({ label, shown }) => `${shown}: ${percent(shares[label] ?? 0)}`);
  const completion = ownCompletion(lines.join("\n"));
  const table: Weighed = { seat: -1, label: "distribution", completion, text: lines.join("\n"), ms: 0, weight: 1 };
  return writeWith(session, way.prompt({ shares: lines.join("\n") }), { candidate: table, what: "table of shares" });
}

/** The attribute of a request: its own, else the config's. */
function attributeOf({ attribute, attributeKey }: Steerable, { body }: ChatRequest): string {
  const metadata = body["metadata"];
  const own: unknown =
    typeof metadata === "object" && metadata !== null ? Object.entries(metadata).find(([key]) => key === attributeKey)?.[1] : undefined;
  const found = typeof own === "string" && own.trim() !== "" ? own.trim() : attribute;
  if (found !== undefined) return found;
  throw new GatewayError("invalid_request", `This model needs to be told whose view to take: set metadata.${attributeKey}.`, {
    param: `metadata.${attributeKey}`,
  });
}

/** The attribute is for us: an upstream would refuse metadata that it did not ask for. */
function withoutAttribute({ attributeKey }: Steerable, request: ChatRequest): ChatRequest {
  const metadata = request.body["metadata"];
  if (typeof metadata !== "object" || metadata === null || !Object.hasOwn(metadata, attributeKey)) return request;
  const rest = Object.entries(metadata).filter(([key]) => key !== attributeKey);
  return change(request, { metadata: rest.length > 0 ? Object.fromEntries(rest) : undefined });
}

/** What shares are asked of: the config's options, else those of the question. */
function optionsOf({ options }: Distributional, { body }: ChatRequest): readonly PollOption[] {
  const found = options ?? findOptions(lastUserText(body.messages));
  if (found !== undefined) return toPollOptions(found);
  throw new GatewayError(
    "invalid_request",
    "This model tells shares of opinion: the last message has to list options, such as A) ... B) ...",
    {
      param: "messages",
    },
  );
}

type Ending = (session: Session) => Promise<Events>;

/** What follows the comments, and the request that it is about. Throws before anybody is asked when the request lacks something. */
function endingOf(way: Plural["way"], request: ChatRequest): { readonly end: Ending; readonly request: ChatRequest } {
  if (way.mode === "overton") return { end: (session) => overton(session, way), request };
  if (way.mode === "steerable") {
    const attribute = attributeOf(way, request);
    return { end: (session) => steerable(session, attribute, way), request: withoutAttribute(way, request) };
  }
  if (way.answer === "sampled" && asksJson(request)) {
    throw new GatewayError("unsupported_parameter", "This model's answer is one of the options as it stands, so it takes no JSON format.", {
      param: "response_format",
    });
  }
  const options = optionsOf(way, request);
  return { end: (session) => distributional(session, options, way), request };
}

/** Asks the communities for comments, then makes the answer of them. */
export async function* pluralAnswer(built: Plural, given: ChatRequest, call: Call): AsyncGenerator<ModelEvent> {
  const { assembly, commentPrompt, way } = built;
  const { end, request } = endingOf(way, given);
  const validator = validatorOf(request);
  using patience = openPatience(call, assembly.quorum.deadlineMs);
  const content = commentPrompt({});
  const assembled = await assemble(assembly, ({ label }) => asideRequest(request, content, { label, settings: {} }), call, {});
  call.span.decision = { mode: way.mode, ...(assembled.early === undefined ? {} : { early: assembled.early }) };
  yield* await end({ built, comments: assembled.candidates, request, call, patience, validator });
}

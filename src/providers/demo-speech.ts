import type { Delta, FinishReason } from "../model/events.ts";
import type { ChatBody, Message } from "../model/request.ts";
import { echo, findProblem, solve, type Thought, type Voice } from "./demo-answer.ts";
import { findPanel, judge, type Verdict } from "./demo-panel.ts";
import { hash } from "./demo-random.ts";
import { fill } from "./demo-schema.ts";
import { logprobOf, textOfContent, tokensOf } from "./demo-tokens.ts";
import { callsOf, type Invocation } from "./demo-tools.ts";

/** One choice, token by token. */
export interface Speech {
  /** The deltas of each token; the name of a called tool is one. */
  readonly steps: readonly (readonly Delta[])[];
  readonly reason: FinishReason;
}

/** What a voice says to a request, as the choice with this index. */
export function speak(voice: Voice, body: ChatBody, choice: number, label: string): Speech {
  const messages = withoutRepair(body);
  const said = lastSaid(messages);
  const seed = `${voice.model} ${voice.sample} ${hash(said)}`;
  const limit = body.max_completion_tokens ?? body.max_tokens ?? Infinity;
  const calls = callsOf(body, said, seed);
  if (calls.length > 0) return call(calls, { choice, limit, seed: `${seed} ${choice} ${body.messages.length}` });
  const verdict = think(voice, messages, said, label);
  const { text, reason } = stopped(formatted(body, verdict, seed) + confidenceLine(messages, verdict.thought), body["stop"]);
  const doubt = body.logprobs === true ? verdict.thought.doubt : undefined;
  return tell(text, { choice, limit, seed, reason, doubt, top: body.top_logprobs ?? 0 });
}

/** A voice that is asked to repair its last answer gives the same answer again: the format was never its trouble. */
function withoutRepair({ messages, response_format: format }: ChatBody): readonly Message[] {
  const isRepair =
    messages.at(-2)?.role === "assistant" && /\b(?:last|previous) answer\b/i.test(textOfContent(messages.at(-1)?.content).slice(0, 200));
  return isRepair && isJson(format) ? messages.slice(0, -2) : messages;
}

function isJson(format: ChatBody["response_format"]): boolean {
  return format?.type === "json_schema" || format?.type === "json_object";
}

/** The text of the user's last message; without one, of the last of all. */
function lastSaid(messages: readonly Message[]): string {
  const message = messages.findLast(({ role }) => role === "user") ?? messages.at(-1);
  return textOfContent(message?.content);
}

function think(voice: Voice, messages: readonly Message[], said: string, label: string): Verdict {
  const alone = (thought: Thought): Verdict => ({ thought, labels: [], agrees: undefined });
  const last = messages.at(-1);
  if (last?.role === "tool" || last?.role === "function") {
    return alone(echo(voice, `The tool said: ${shortened(textOfContent(last.content))}`, label));
  }
  const panel = findPanel(messages);
  if (panel) return judge(voice, panel, label);
  const problem = findProblem(said);
  return alone(problem ? solve(voice, problem) : echo(voice, `You said: ${shortened(said)}`, label));
}

/** The last line that some prompts ask for. */
function confidenceLine(messages: readonly Message[], { doubt }: Thought): string {
  const isAsked = ({ role, content }: Message) => role !== "assistant" && /^Confidence: <number>$/m.test(textOfContent(content));
  return messages.some(isAsked) ? `\n\nConfidence: ${Math.exp(-doubt).toFixed(2)}` : "";
}

const ECHOED = 1000;

function shortened(text: string): string {
  return text.length <= ECHOED ? text : `${text.slice(0, ECHOED).toWellFormed()} ...`;
}

const yes = ["yes", "Yes", "YES", "true", "correct", "Correct", "accept", "agree"];
const no = ["no", "No", "NO", "false", "incorrect", "Incorrect", "reject", "disagree"];

/** The thought in the form that the request asks for. */
function formatted(body: ChatBody, { thought, labels, agrees }: Verdict, seed: string): string {
  const format = body.response_format;
  if (!isJson(format)) return thought.text;
  const answer = thought.answer ?? thought.text;
  if (format?.type === "json_object") return JSON.stringify({ answer });
  const opinion = agrees === undefined ? [] : agrees ? yes : no;
  const hints = { answer, reason: thought.text, labels: [...labels, ...opinion], confidence: Math.exp(-thought.doubt), seed };
  return JSON.stringify(fill(format?.json_schema?.["schema"] ?? { type: "object" }, hints));
}

/** The text up to the first stop sequence. */
function stopped(text: string, stop: unknown): { readonly text: string; readonly reason: FinishReason } {
  const stops: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  const places = stops
    .flatMap((sequence) => (typeof sequence === "string" && sequence !== "" ? [text.indexOf(sequence)] : []))
    .filter((at) => at >= 0);
  return { text: text.slice(0, Math.min(text.length, ...places)), reason: "stop" };
}

interface Telling {
  readonly choice: number;
  /** In tokens. */
  readonly limit: number;
  readonly seed: string;
  readonly reason: FinishReason;
  /** Undefined when nobody asked for log-probabilities. */
  readonly doubt: number | undefined;
  readonly top: number;
}

function tell(text: string, { choice, limit, seed, reason, doubt, top }: Telling): Speech {
  const steps = tokensOf(text).map((token, i): readonly Delta[] => {
    const said: Delta = { type: "text", choice, text: token };
    if (doubt === undefined) return [said];
    return [said, { type: "logprobs", choice, content: [logprobOf({ token, doubt, top, place: `${seed} ${i}` })], refusal: [] }];
  });
  return within(limit, steps, reason);
}

function call(calls: readonly Invocation[], { choice, limit, seed }: Pick<Telling, "choice" | "limit" | "seed">): Speech {
  const steps = calls.flatMap(({ name, custom, text }, index): readonly (readonly Delta[])[] => {
    const at = { type: "tool-call", choice, index } as const;
    const id = `call_${[1, 2].map((part) => hash(`${seed} ${index} ${part}`).toString(16).padStart(8, "0")).join("")}`;
    return [[{ ...at, id, name, ...(custom ? { custom } : {}), text: "" }], ...tokensOf(text).map((token) => [{ ...at, text: token }])];
  });
  return within(limit, steps, "tool_calls");
}

function within(limit: number, steps: readonly (readonly Delta[])[], reason: FinishReason): Speech {
  const kept = steps.slice(0, limit);
  return { steps: kept, reason: kept.length < steps.length ? "length" : reason };
}

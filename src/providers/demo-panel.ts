import type { Message } from "../model/request.ts";
import { formatNumber } from "./demo-arithmetic.ts";
import { echo, findProblem, say, solve, type Problem, type Thought, type Voice } from "./demo-answer.ts";
import { readBlocks, type Block, type Blocks } from "./demo-blocks.ts";
import { textOfContent } from "./demo-tokens.ts";

/** What one who reads candidates thinks of them. */
export interface Verdict {
  readonly thought: Thought;
  /** The labels of the candidates, those of the majority first. */
  readonly labels: readonly string[];
  /** Whether the only candidate says what this voice would have said; undefined when there are more. */
  readonly agrees: boolean | undefined;
}

/** The candidates that a prompt shows, and the question that they answer. */
export interface Panel {
  readonly question: string;
  readonly candidates: readonly Block[];
}

/** Longer messages are not searched for candidates. */
const MAX_PROMPT = 200_000;

/** Finds candidates in the last message, or in a system message; the question is the last message of the user's that shows none. */
export function findPanel(messages: readonly Message[]): Panel | undefined {
  const last = messages.at(-1);
  for (const message of messages.toReversed()) {
    if (message !== last && message.role !== "system" && message.role !== "developer") continue;
    const { blocks, rest } = blocksOf(message);
    const candidates = blocks.filter(isCandidate);
    if (candidates.length === 0) continue;
    const shown = blocks.find(({ name }) => /question|task|request|problem/i.test(name));
    const other = messages.findLast((other) => other.role === "user" && !blocksOf(other).blocks.some(isCandidate));
    return { candidates, question: shown?.text ?? (other ? textOfContent(other.content) : rest) };
  }
  return undefined;
}

function blocksOf({ content }: Message): Blocks {
  const text = textOfContent(content);
  return text.length > MAX_PROMPT ? { blocks: [], rest: text } : readBlocks(text);
}

function isCandidate({ name }: Block): boolean {
  return /^(?:[A-Z]|\d)$/.test(name) || /answer|candidate|response|solution|proposal|draft|reply|agent|member|expert|peer/i.test(name);
}

/** The answer of the majority of the candidates, in the voice's own manner; between equals its own answer decides, then the order. */
export function judge(voice: Voice, { question, candidates }: Panel, label: string): Verdict {
  const problem = findProblem(question);
  const own = problem && solve(voice, problem);
  const groups = new Map<string, Block[]>();
  for (const candidate of candidates) {
    const key = answerIn(candidate.text, problem);
    const group = groups.get(key);
    if (group) group.push(candidate);
    else groups.set(key, [candidate]);
  }
  const size = (key: string) => (groups.get(key)?.length ?? 0) + (key === own?.answer ? 0.5 : 0);
  const keys = [...groups.keys()].sort((a, b) => size(b) - size(a));
  const ordered = keys.flatMap((key) => groups.get(key) ?? []);
  const [key = ""] = keys;
  const doubt = 0.05 + 0.6 * (1 - (groups.get(key)?.length ?? 0) / candidates.length);
  const thought = problem
    ? { text: say(voice.model, problem, key), answer: key }
    : echo(voice, withoutLabel(ordered[0]?.text ?? ""), label);
  const labels = ordered.flatMap(({ label }) => (label === undefined ? [] : [label]));
  return { thought: { ...thought, doubt }, labels, agrees: candidates.length === 1 && own ? own.answer === key : undefined };
}

function withoutLabel(text: string): string {
  return text.replace(/^\[simulated answer by [^\]]*\]\s*/, "").trim();
}

/** Answers stand at the end. */
const MAX_ANSWER = 4000;

/** The answer that a candidate gives, in a form in which equal answers are equal texts. */
function answerIn(text: string, problem: Problem | undefined): string {
  const plain = withoutLabel(text).slice(-MAX_ANSWER);
  const marker = [...plain.matchAll(/\b(?:answer|result)(?: is|:)/gi)].at(-1);
  const stated = marker ? plain.slice(marker.index + marker[0].length) : plain;
  const known = problem ? [problem.right, ...problem.wrong] : [];
  if (problem?.options) {
    const letter = /^\W*([A-H])\b/.exec(stated)?.[1];
    if (letter !== undefined) return letter;
    for (const [option, meaning] of problem.options) if (plain.toLowerCase().includes(meaning.toLowerCase())) return option;
  }
  const words = ` ${toWords(stated)} `;
  const found = known.find((answer) => words.includes(` ${toWords(answer)} `));
  if (found !== undefined && Number.isNaN(Number(found))) return found;
  const number = stated
    .replaceAll(/(?<=\d),(?=\d{3})/g, "")
    .match(/-?\d+(?:\.\d+)?/g)
    ?.at(-1);
  if (number !== undefined && (problem || stated.length < 80)) return formatNumber(Number(number));
  return toWords(stated);
}

const toWords = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, " ")
    .trim();

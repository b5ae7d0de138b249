import { choicesOf, legKey, type LegRecord, type RequestRecord } from "../model/history.ts";
import type { ChatBody } from "../model/request.ts";
import { viewOf } from "../panel/route/view.ts";
import type { Gradable, Grader } from "./grades.ts";

/** Recorded history, as `parseHistory` gives it. */
export interface History {
  readonly legs: readonly LegRecord[];
  readonly requests: readonly RequestRecord[];
}

/** One model's answer to a question. */
export interface Answered {
  readonly upstream: string;
  /** Known with content. */
  readonly text: string | undefined;
  readonly usd: number | undefined;
  /** 0 to 1; undefined when nobody graded it. */
  readonly score: number | undefined;
}

/** A question with all answers to it, whoever asked and however often. */
export interface Question {
  readonly id: string;
  /** What the user said last; known with content. */
  readonly text: string | undefined;
  readonly answers: readonly Answered[];
}

/** A body that was recorded; its messages are those of a chat. */
function bodyOf(asked: Readonly<Record<string, unknown>> | undefined): ChatBody | undefined {
  return Array.isArray(asked?.["messages"]) ? (asked as unknown as ChatBody) : undefined;
}

/** The question of a leg: its messages alone, so that log-probabilities or limits do not make another of it; without content its key. */
function questionIdOf({ asked, key }: Pick<LegRecord, "asked" | "key">): string {
  const body = bodyOf(asked);
  return body ? legKey({ messages: body.messages }) : key;
}

function textOf(leg: LegRecord): string | undefined {
  const [choice] = choicesOf(leg) ?? [];
  return choice && (choice.message.content ?? "");
}

function isAnswer({ does, status, cut }: LegRecord): boolean {
  return does === undefined && status === "ok" && cut !== true;
}

/** The answers of one request to what its client asked: judges, writers and later rounds are asked something else. */
function answersOf(legs: readonly LegRecord[], request: RequestRecord | undefined): readonly LegRecord[] {
  const chats = legs.filter(({ does }) => does === undefined).toSorted((a, b) => a.order - b.order);
  const [first] = chats;
  if (!first) return [];
  const asked = bodyOf(request?.asked);
  const question = asked ? legKey({ messages: asked.messages }) : questionIdOf(first);
  return chats.filter((leg) => isAnswer(leg) && questionIdOf(leg) === question);
}

/** A leg as a grader knows it. `alone` says that its request had no other. */
export function gradableOf(leg: LegRecord, request: RequestRecord | undefined, alone: boolean): Gradable {
  const text = textOf(leg);
  const told = request?.answer?.choices[0]?.message.content;
  const body = bodyOf(leg.asked);
  return {
    requestId: leg.requestId,
    key: leg.key,
    question: questionIdOf(leg),
    upstream: leg.upstream,
    final: alone || (told !== undefined && told === text),
    prompt: body && viewOf(body, "turn").text,
    text,
  };
}

/** The questions of a history in the order in which they were first asked. */
export function questionsOf({ legs, requests }: History, grader: Grader): readonly Question[] {
  const byRequest = Map.groupBy(legs, ({ requestId }) => requestId);
  const records = new Map(requests.map((request) => [request.requestId, request]));
  const answers = [...byRequest].flatMap(([requestId, own]) => {
    const request = records.get(requestId);
    return answersOf(own, request).map((leg) => ({ leg, gradable: gradableOf(leg, request, own.length === 1) }));
  });
  return [...Map.groupBy(answers, ({ gradable }) => gradable.question)].map(([id, group]) => ({
    id,
    text: group[0]?.gradable.prompt,
    answers: group.map(({ leg: { upstream, usd }, gradable }) => ({
      upstream,
      text: gradable.text,
      usd,
      score: grader.scoreOf(gradable),
    })),
  }));
}

import type { Call } from "../../model/call.ts";
import type { ChatRequest } from "../../model/request.ts";
import type { AnswerRule } from "../answers/answers.ts";
import { ballotOf } from "./ballots.ts";
import { fenced, newNonce, shownText, shuffled, type Labelled } from "../candidates.ts";
import type { Seated } from "../rounds.ts";
import { drawsOf } from "../seed.ts";
import type { Shown } from "../showing.ts";
import type { Standing } from "../standing.ts";

/** How one reader is shown the answers of a round. */
export interface Grouping {
  readonly reader: Seated;
  readonly number: number;
  readonly rule: AnswerRule;
  readonly maxTokens: number;
  /** What stands beside the letter of an answer: `confidence 0.9`. Words of ours. */
  readonly tells: (answer: Seated) => string;
}

type Group = readonly Labelled<Seated>[];

/** Answers that say the same stand together; one that can not be compared stands alone. */
function groupsOf(letters: readonly Labelled<Seated>[], rule: AnswerRule): readonly Group[] {
  const groups = new Map<string, Labelled<Seated>[]>();
  for (const letter of letters) {
    const key = ballotOf(letter.item, rule)?.key ?? `alone ${letter.label}`;
    const group = groups.get(key);
    if (group) group.push(letter);
    else groups.set(key, [letter]);
  }
  return [...groups.values()];
}

/** Who says this, and how: the reader's own answer is counted, not shown, because it is its last turn. */
function written(group: Group, all: number, nonce: string, { reader, maxTokens, tells }: Grouping): string {
  const isOwn = group.some(({ item }) => item === reader);
  const others = group.filter(({ item }) => item !== reader);
  const count = `${group.length} of ${all} answers ${group.length === 1 ? "says" : "say"} this${isOwn ? ", yours among them" : ""}.`;
  const texts = others.map(({ label, item }) => fenced(`answer ${label}, ${tells(item)}`, shownText(item.text, maxTokens), nonce));
  return [count, ...texts].join("\n\n");
}

/** The answers of a round as one of those who gave them is shown them: grouped by what they say, under letters in an order of its own, fenced. */
export function showGroups(standing: Standing, grouping: Grouping, request: ChatRequest, call: Call): Shown<Seated> {
  const { reader, number, rule } = grouping;
  const nonce = newNonce(call.random);
  const letters = shuffled(standing, drawsOf(request, call, `order of ${reader.place.label}, round ${number}`));
  const groups = groupsOf(letters, rule).map((group) => written(group, standing.length, nonce, grouping));
  return { nonce, candidates: groups.join("\n\n"), letters };
}

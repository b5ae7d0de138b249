/** A board that several agents read and write. */
import type { Completion } from "../../model/completion.ts";
import { fenced, shownText } from "../candidates.ts";
import { saidBy } from "../usable.ts";
import type { Form } from "../judging/verdict.ts";

/** What an agent may do at its turn. */
export const actions = ["propose", "work", "criticise", "conclude"] as const;

export type Action = (typeof actions)[number];

export interface Entry {
  /** The letter of the agent. */
  readonly by: string;
  readonly action: Action;
  readonly completion: Completion;
}

export interface BoardSize {
  /** What is shown of one entry, and of the board, at most; estimates in tokens. */
  readonly entry: number;
  readonly board: number;
}

/** Tokens are not counted before a call; four characters are about one in most scripts. */
const CHARACTERS_PER_TOKEN = 4;

/** The newest entries that there is room for, in their order; the newest always. Older ones are told by their number. */
export function boardText(entries: readonly Entry[], size: BoardSize, nonce: string): string {
  const shown: string[] = [];
  let left = size.board * CHARACTERS_PER_TOKEN;
  for (const [index, { by, action, completion }] of [...entries.entries()].toReversed()) {
    const text = shownText(saidBy(completion), size.entry);
    if (shown.length > 0 && text.length > left) break;
    left -= text.length;
    shown.unshift(fenced(`entry ${index + 1} (${by}, ${action})`, text, nonce));
  }
  const older = entries.length - shown.length;
  if (older > 0) shown.unshift(`[${older} older ${older === 1 ? "entry is" : "entries are"} left out]`);
  return shown.length > 0 ? shown.join("\n\n") : "[the board is empty]";
}

/** Whose turn is next and what for, or the end. */
export type Turn = { readonly end: true } | { readonly end: false; readonly next: string; readonly action: Action };

const END = "end";

/** There is nothing to criticise on an empty board, and nothing that could be the answer. */
function actionsOn(empty: boolean): readonly Action[] {
  return empty ? actions.filter((action) => action !== "criticise") : actions;
}

function turnIn(value: unknown, agents: readonly string[], empty: boolean): Turn | undefined {
  if (typeof value !== "object" || value === null || !("next" in value) || typeof value.next !== "string") return undefined;
  const next = value.next.trim();
  if (next.toLowerCase() === END) return empty ? undefined : { end: true };
  const agent = agents.find((letter) => letter === next.toUpperCase());
  const action = "action" in value ? actionsOn(empty).find((one) => one === value.action) : undefined;
  return agent === undefined || action === undefined ? undefined : { end: false, next: agent, action };
}

/** The decision about the next turn: one of these agents and an action, or the end of a board that is not `empty`. */
export function turnOf(agents: readonly string[], empty: boolean): Form<Turn> {
  const next = empty ? agents : [...agents, END];
  const possible = actionsOn(empty);
  const list = (words: readonly string[]) => words.map((word) => JSON.stringify(word)).join(" | ");
  return {
    name: "turn",
    schema: {
      type: "object",
      properties: { next: { type: "string", enum: next }, action: { type: "string", enum: possible } },
      required: ["next", "action"],
      additionalProperties: false,
    },
    shape: `{"next": ${list(next)}, "action": ${list(possible)}}`,
    read: (value) => turnIn(value, agents, empty),
  };
}

/** Each agent's last conclusion, in the order in which they were made. */
export function conclusionsOf(entries: readonly Entry[]): readonly Entry[] {
  return entries.filter(
    ({ by, action }, index) =>
      action === "conclude" && !entries.some((other, at) => at > index && other.by === by && other.action === "conclude"),
  );
}

import type { ModelEvent } from "../../model/events.ts";
import { change, type ChatRequest, type Message } from "../../model/request.ts";
import { offersTools } from "./tools.ts";
import { Tag, tagged } from "./tag.ts";

/** A request as one of several members may answer it. */
export interface OwnedTurn {
  /** With the ids of calls as their makers wrote them. */
  readonly request: ChatRequest;
  /** Index of the member whose calls this turn brings results of. */
  readonly owner: number | undefined;
  /** The answer of a member, for the client. */
  tell(member: number, events: AsyncIterable<ModelEvent>): AsyncIterable<ModelEvent>;
}

interface Call {
  readonly id?: unknown;
}

function callsOf(message: Message): readonly Call[] {
  const { tool_calls: calls } = message;
  return Array.isArray(calls) ? (calls as readonly Call[]) : [];
}

/**
 * Keeps an agent's loop with the member that began it, without state: a tag in the ids of its calls says whose they are. The next turn, which
 * any gateway of the same config may get, is offered to that member first, and everybody gets the ids as they were made. A new question of
 * the user is anybody's. Place and names must not depend on the process.
 */
export class ToolOwners {
  readonly #tags: readonly Tag[];

  constructor(place: string, names: readonly string[]) {
    const seen = new Map<string, number>();
    // Nobody else could own what a single member calls.
    this.#tags = (names.length > 1 ? names : []).map((name) => {
      const nth = (seen.get(name) ?? 0) + 1;
      seen.set(name, nth);
      return new Tag(place, nth === 1 ? name : `${name}#${nth}`);
    });
  }

  read(request: ChatRequest): OwnedTurn {
    const tags = this.#tags;
    const owner = this.#ownerOf(request.body.messages);
    const marks = offersTools(request);
    return {
      request: this.#restored(request),
      owner,
      tell(member, events) {
        const tag = marks ? tags[member] : undefined;
        return tag ? tagged(events, tag) : events;
      },
    };
  }

  /** Members in the order in which they are to be asked: the owner first. */
  inOrder<T>(members: readonly T[], owner: number | undefined): readonly (readonly [index: number, member: T])[] {
    const all = members.map((member, index) => [index, member] as const);
    return owner === undefined ? all : [...all.filter(([index]) => index === owner), ...all.filter(([index]) => index !== owner)];
  }

  #takenOff(id: unknown): readonly [member: number, id: string] | undefined {
    if (typeof id !== "string") return undefined;
    for (const [member, tag] of this.#tags.entries()) {
      const own = tag.take(id);
      if (own !== undefined) return [member, own];
    }
    return undefined;
  }

  /** The last turn of the assistant decides: with its calls a loop is under way. */
  #ownerOf(messages: readonly Message[]): number | undefined {
    const last = messages.findLast(({ role }) => role === "assistant");
    const [first] = last ? callsOf(last) : [];
    return this.#takenOff(first?.id)?.[0];
  }

  #restored(request: ChatRequest): ChatRequest {
    const { messages } = request.body;
    const isTagged = (message: Message) =>
      this.#takenOff(message["tool_call_id"]) !== undefined || callsOf(message).some(({ id }) => this.#takenOff(id) !== undefined);
    if (this.#tags.length === 0 || !messages.some(isTagged)) return request;
    return change(request, { messages: messages.map((message) => (isTagged(message) ? this.#plain(message) : message)) });
  }

  #plain(message: Message): Message {
    const result = this.#takenOff(message["tool_call_id"]);
    const calls = callsOf(message).map((call) => ({ ...call, id: this.#takenOff(call.id)?.[1] ?? call.id }));
    return { ...message, ...(result ? { tool_call_id: result[1] } : {}), ...(calls.length > 0 ? { tool_calls: calls } : {}) };
  }
}

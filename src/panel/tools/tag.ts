/** Tags on the ids of tool calls: who of several made a call stands in the id, which the client brings back with the result. */
import { hash } from "node:crypto";
import type { Completion } from "../../model/completion.ts";
import type { BatchEvent, Delta, ModelEvent } from "../../model/events.ts";
import { Flag } from "../../model/events.ts";
import { latin1Json } from "../../model/latin1.ts";

/** Characters of a tag: 30 bits, so that an id of somebody else's hardly ends in one by chance. */
const LENGTH = 5;
/** What the strictest servers and clients take for an id. */
const LONGEST = 64;
const LEGAL = /^[A-Za-z0-9_-]+$/;

/** The mark of one member at one place of the config, the same in every process. `form` tells how the id before it is written. */
function markOf(place: string, member: string, form: "plain" | "encoded"): string {
  return `_${hash("sha256", `${place}\n${member}\n${form}`, "base64url").slice(0, LENGTH)}`;
}

/** Writes who made a call behind its id, and takes it off again. */
export class Tag {
  readonly #plain: string;
  readonly #encoded: string;

  /** `place` is the node's name, `member` what tells its members apart. */
  constructor(place: string, member: string) {
    this.#plain = markOf(place, member, "plain");
    this.#encoded = markOf(place, member, "encoded");
  }

  /** The id for the client: a mark behind it. One that is no word is encoded; one that leaves no room stays as it is, and tells nobody. */
  put(id: string): string {
    const tagged = LEGAL.test(id) ? id + this.#plain : Buffer.from(id).toString("base64url") + this.#encoded;
    return tagged.length <= LONGEST && id !== "" ? tagged : id;
  }

  /** The id as its maker wrote it; undefined when it does not carry this tag. */
  take(id: string): string | undefined {
    const end = id.length - LENGTH - 1;
    if (end < 1) return undefined;
    if (id.endsWith(this.#plain)) return id.slice(0, end);
    return id.endsWith(this.#encoded) ? Buffer.from(id.slice(0, end), "base64url").toString("utf8") : undefined;
  }
}

function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

/** Ids that change: what each becomes, and how many calls have it. Servers that number the calls of each choice anew repeat them. */
type Renames = ReadonlyMap<string, { readonly to: string; readonly count: number }>;

/** The JSON with these values of `id` replaced; undefined when one does not stand as it would be written, as often as there are calls. */
function spliced(json: string, ids: Renames): string | undefined {
  let out = json;
  for (const [from, { to, count }] of ids) {
    const written = new RegExp(`("id"\\s*:\\s*)${literal(latin1Json(from))}`, "g");
    if ([...out.matchAll(written)].length !== count) return undefined;
    out = out.replaceAll(written, (_, key: string) => key + latin1Json(to));
  }
  return out;
}

function renames(ids: readonly (string | undefined)[], tag: Tag): Renames {
  const changed = new Map<string, { to: string; count: number }>();
  for (const id of ids) {
    if (id === undefined) continue;
    const to = tag.put(id);
    if (to !== id) changed.set(id, { to, count: (changed.get(id)?.count ?? 0) + 1 });
  }
  return changed;
}

function tagDelta(delta: Delta, ids: Renames): Delta {
  if (delta.type !== "tool-call" || delta.id === undefined) return delta;
  return { ...delta, id: ids.get(delta.id)?.to ?? delta.id };
}

/** Only a call's first fragment has an id, and with it a type: all others go on as they are, unread. */
function tagBatch(batch: BatchEvent, tag: Tag): BatchEvent {
  const { bytes, flags } = batch;
  if ((flags & Flag.tool) === 0 || bytes?.includes('"type"') === false) return batch;
  const ids = renames(
    batch.deltas.map((delta) => (delta.type === "tool-call" ? delta.id : undefined)),
    tag,
  );
  if (ids.size === 0) return batch;
  const deltas = batch.deltas.map((delta) => tagDelta(delta, ids));
  if (bytes === undefined) return { type: "batch", flags, deltas };
  const marked = spliced(bytes, ids);
  return marked === undefined ? batch : { type: "batch", bytes: marked, flags, deltas };
}

function tagCompletion(completion: Completion, tag: Tag): Completion {
  const { bytes } = completion;
  if (bytes?.includes('"tool_calls"') === false) return completion;
  const { choices, id, model, created, usage, extra } = completion;
  const ids = renames(
    choices.flatMap(({ message }) => (message.tool_calls ?? []).map((call) => call.id)),
    tag,
  );
  if (ids.size === 0) return completion;
  const marked = bytes && spliced(bytes.toString("latin1"), ids);
  if (bytes && marked === undefined) return completion;
  return {
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { model }),
    ...(created === undefined ? {} : { created }),
    ...(usage === undefined ? {} : { usage }),
    ...(extra === undefined ? {} : { extra }),
    ...(marked === undefined ? {} : { bytes: Buffer.from(marked, "latin1") }),
    choices: choices.map((choice) => {
      const { tool_calls: calls } = choice.message;
      if (!calls) return choice;
      return {
        ...choice,
        message: { ...choice.message, tool_calls: calls.map((call) => ({ ...call, id: ids.get(call.id)?.to ?? call.id })) },
      };
    }),
  };
}

function tagEvent(event: ModelEvent, tag: Tag): ModelEvent {
  if (event.type === "batch") return tagBatch(event, tag);
  return event.type === "finish" && event.completion ? { ...event, completion: tagCompletion(event.completion, tag) } : event;
}

/** An answer whose calls carry the tag. All else passes untouched, bytes and all. Left before its first read, it leaves what is below too. */
export function tagged(events: AsyncIterable<ModelEvent>, tag: Tag): AsyncIterable<ModelEvent> {
  return {
    [Symbol.asyncIterator]() {
      const inner = events[Symbol.asyncIterator]();
      return {
        async next() {
          const next = await inner.next();
          return next.done ? next : { done: false, value: tagEvent(next.value, tag) };
        },
        async return() {
          await inner.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

import { GatewayError } from "../../model/errors.ts";
import type { Draft } from "./message.ts";
import { isDraft } from "./message.ts";

interface StreamedCall {
  readonly index: number;
  /** The index that the upstream used. */
  readonly theirs: unknown;
  readonly id: string;
  readonly name: string;
  readonly custom: boolean;
  /** All arguments so far, to tell when they are complete. */
  text: string;
  /** Their last character but white space. */
  last: string;
  /** They are whole JSON; undefined until somebody asks. */
  whole: boolean | undefined;
  /** Fragments that wait until the calls before are complete. */
  held: string[];
  opened: boolean;
  extra: Draft;
}

/** A fragment that is canonical: the client may have the upstream's own bytes. */
interface Verdict {
  readonly odd: boolean;
  readonly fragments: Draft[];
}

function lastOf(text: string, before: string): string {
  return text.trimEnd().at(-1) ?? before;
}

/** What ends in another way than these may go on: `1` becomes `12`. */
const closing = new Set(["}", "]", '"']);

function isJson({ text, last }: StreamedCall): boolean {
  if (!closing.has(last)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    // Not JSON yet: more fragments will come.
    return false;
  }
}

function complete(call: StreamedCall): boolean {
  call.whole ??= isJson(call);
  return call.whole;
}

function grow(call: StreamedCall, text: string): void {
  if (text === "") return;
  call.text += text;
  call.last = lastOf(text, call.last);
  call.whole = undefined;
}

/**
 * Makes the tool calls of one choice canonical: id, type and name exactly once, indices dense from 0, arguments always a string, and all of one
 * call before the next, whatever the upstream interleaves. A later call streams live once the one before it is complete JSON.
 * Throws an `upstream_protocol` when a call goes on that was over.
 */
export class ToolStream {
  readonly #calls: StreamedCall[] = [];
  /** Index of the last call that was opened: all before it were opened and whole by then, and take no more. */
  #newest = -1;
  readonly #mintId: (index: number) => string;

  constructor(mintId: (index: number) => string) {
    this.#mintId = mintId;
  }

  get used(): boolean {
    return this.#calls.length > 0;
  }

  /** A call was begun and its arguments are not whole yet. */
  get isOpen(): boolean {
    const last = this.#calls.at(-1);
    return last !== undefined && !(last.opened && complete(last));
  }

  /** Takes the `tool_calls` of one delta and says what to send in their place. */
  add(fragments: readonly unknown[]): Verdict {
    let odd = false;
    const out: Draft[] = [];
    for (const fragment of fragments) {
      if (!isDraft(fragment)) {
        odd = true;
        continue;
      }
      const verdict = this.#fragment(fragment);
      odd ||= verdict.odd;
      out.push(...verdict.fragments);
    }
    return { odd, fragments: out };
  }

  /** What still has to be sent when the choice ends: held calls, and `{}` for a call without arguments. */
  flush(): Draft[] {
    const out: Draft[] = [];
    for (const call of this.#calls) {
      if (!call.opened) out.push(this.#open(call));
      if (call.held.length > 0) out.push(this.#more(call, call.held.join("")));
      call.held = [];
      if (call.text === "" && !call.custom) {
        call.text = "{}";
        out.push(this.#more(call, "{}"));
      }
    }
    return out;
  }

  #fragment(fragment: Draft): Verdict {
    const inner = fragment["function"] ?? fragment["custom"];
    const body = isDraft(inner) ? inner : {};
    const said = body["arguments"] ?? body["input"];
    const text = typeof said === "string" ? said : said === undefined || said === null ? "" : JSON.stringify(said);
    const known = this.#find(fragment, body);
    if (!known) return this.#start(fragment, body, text);
    if (this.#isOver(known)) return this.#late(known, text);
    const repeated = "id" in fragment || "type" in fragment || "name" in body;
    const odd = repeated || fragment["index"] !== known.index || typeof said !== "string" || !this.#mayStream(known);
    grow(known, text);
    if (!this.#mayStream(known)) {
      known.held.push(text);
      return { odd: true, fragments: [] };
    }
    if (known.opened && !odd) return { odd, fragments: [fragment] };
    const held = known.held.join("");
    known.held = [];
    const opening = known.opened ? [] : [this.#open(known)];
    return { odd: true, fragments: text === "" && held === "" ? opening : [...opening, this.#more(known, held + text)] };
  }

  #find(fragment: Draft, body: Draft): StreamedCall | undefined {
    const { id, index } = fragment;
    const last = this.#calls.at(-1);
    if (index === undefined) {
      if (typeof id === "string" && id !== "") return this.#calls.find((call) => call.id === id);
      return typeof body["name"] === "string" && body["name"] !== "" ? undefined : last;
    }
    const known = this.#calls.findLast((call) => call.theirs === index);
    // Some servers reuse an index for another call: a new id with a name starts one.
    const other =
      typeof id === "string" &&
      id !== "" &&
      known !== undefined &&
      id !== known.id &&
      typeof body["name"] === "string" &&
      body["name"] !== "";
    return other ? undefined : known;
  }

  #start(fragment: Draft, body: Draft, text: string): Verdict {
    const index = this.#calls.length;
    const given = fragment["id"];
    const custom = isDraft(fragment["custom"]);
    const { index: theirs, id: _id, type: _type, function: _function, custom: _custom, ...extra } = fragment;
    const name = typeof body["name"] === "string" ? body["name"] : "";
    const id = typeof given === "string" && given !== "" ? given : this.#mintId(index);
    const call: StreamedCall = {
      index,
      theirs,
      id,
      name,
      custom,
      text,
      last: lastOf(text, ""),
      whole: undefined,
      held: [],
      opened: false,
      extra,
    };
    this.#calls.push(call);
    const said = body[custom ? "input" : "arguments"];
    const odd = theirs !== index || id !== given || fragment["type"] !== (custom ? "custom" : "function") || typeof said !== "string";
    if (!this.#mayStream(call)) {
      if (text !== "") call.held.push(text);
      return { odd: true, fragments: [] };
    }
    if (!odd) {
      this.#opening(call);
      return { odd, fragments: [fragment] };
    }
    const opening = this.#open(call);
    return { odd: true, fragments: text === "" ? [opening] : [opening, this.#more(call, text)] };
  }

  /** All calls before this one are complete, so nothing of theirs can come after it. */
  #mayStream(call: StreamedCall): boolean {
    if (call.opened || call.index === 0) return true;
    const before = this.#calls[this.#newest];
    return before?.index === call.index - 1 && complete(before);
  }

  /** A later call has begun, because the arguments of this one were whole. */
  #isOver(call: StreamedCall): boolean {
    return call.index < this.#newest;
  }

  /** White space changes nothing. Anything else would make two of what was one call, or come where nobody looks for it. */
  #late({ index }: StreamedCall, text: string): Verdict {
    if (text.trim() !== "") throw new GatewayError("upstream_protocol", `The answer goes on with tool call ${index}, which is over.`);
    return { odd: true, fragments: [] };
  }

  #opening(call: StreamedCall): void {
    call.opened = true;
    this.#newest = Math.max(this.#newest, call.index);
  }

  #open(call: StreamedCall): Draft {
    this.#opening(call);
    const { index, id, name, custom, extra } = call;
    if (custom) return { ...extra, index, id, type: "custom", custom: { name, input: "" } };
    return { ...extra, index, id, type: "function", function: { name, arguments: "" } };
  }

  #more(call: StreamedCall, text: string): Draft {
    return call.custom ? { index: call.index, custom: { input: text } } : { index: call.index, function: { arguments: text } };
  }
}

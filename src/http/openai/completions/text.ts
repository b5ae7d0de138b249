import type { Identity } from "../../../model/call.ts";
import type { Completion } from "../../../model/completion.ts";
import type { Delta, FinishReason, TokenLogprob } from "../../../model/events.ts";
import { latin1Json } from "../../../model/latin1.ts";
import { textLength, textLogprobs, type TextLogprobs } from "../../../model/text-logprobs.ts";
import type { Usage } from "../../../model/usage.ts";
import { wireUsage } from "../usage.ts";

interface TextChoice {
  readonly text: string;
  readonly index: number;
  readonly logprobs: TextLogprobs | null;
  readonly finish_reason: string | null;
}

/** A text completion ends in one of three ways; a chat's further ones are an end by itself. */
function textReason(reason: FinishReason): string {
  return reason === "length" || reason === "content_filter" ? reason : "stop";
}

export interface Rendering {
  readonly identity: Identity;
  readonly usage: Usage | undefined;
  readonly extension: unknown;
}

function enveloped({ identity, usage, extension }: Rendering, rest: object): string {
  const { id, created, model } = identity;
  const told = usage ? { usage: wireUsage(usage) } : {};
  return latin1Json({
    id,
    object: "text_completion",
    created,
    model,
    ...rest,
    ...told,
    ...(extension === undefined ? {} : { chorale: extension }),
  });
}

/** A chat's whole answer as a text completion. What it refused is its text; what it thought has no place there. */
export function textCompletion({ choices, extra }: Completion, rendering: Rendering): string {
  const written = choices.map(({ index, message, finishReason, logprobs }): TextChoice => {
    const tokens = logprobs?.content;
    return {
      text: (message.content ?? "") + (message.refusal ?? ""),
      index,
      logprobs: tokens ? textLogprobs(tokens) : null,
      finish_reason: textReason(finishReason),
    };
  });
  return enveloped(rendering, { ...extra, choices: written });
}

/** What one choice says in one frame. */
class Part {
  readonly index: number;
  text = "";
  readonly tokens: TokenLogprob[] = [];
  reason: FinishReason | undefined;

  constructor(index: number) {
    this.index = index;
  }

  get isEmpty(): boolean {
    return this.text === "" && this.tokens.length === 0 && this.reason === undefined;
  }
}

/** Writes deltas of a chat as chunks of a text completion: texts as they come, then an end for each choice. */
export class TextWriter {
  readonly #identity: Identity;
  /** How long the text of each choice is by now. */
  readonly #lengths = new Map<number, number>();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  /** The frames of a batch: neighbours of one choice are one chunk, and an end has its own. */
  write(deltas: readonly Delta[]): string {
    let out = "";
    let part: Part | undefined;
    for (const delta of deltas) {
      if (part && (part.index !== delta.choice || delta.type === "end")) {
        out += this.#frame(part);
        part = undefined;
      }
      part ??= new Part(delta.choice);
      if (delta.type === "text" || delta.type === "refusal") part.text += delta.text;
      else if (delta.type === "logprobs") part.tokens.push(...delta.content);
      else if (delta.type === "end") part.reason = delta.reason;
    }
    return part ? out + this.#frame(part) : out;
  }

  /** The usage chunk: no choices, last before `[DONE]`. */
  usage(usage: Usage, extension: unknown): string {
    return `data: ${enveloped({ identity: this.#identity, usage, extension }, { choices: [] })}\n\n`;
  }

  /** A frame without content for proxies that cut streams of comments. */
  idle(index: number): string {
    return this.#chunk({ text: "", index, logprobs: null, finish_reason: null });
  }

  #frame(part: Part): string {
    if (part.isEmpty) return "";
    const { index, text, tokens, reason } = part;
    const from = this.#lengths.get(index) ?? 0;
    this.#lengths.set(index, from + textLength(tokens));
    const logprobs = tokens.length > 0 ? textLogprobs(tokens, from) : null;
    return this.#chunk({ text, index, logprobs, finish_reason: reason === undefined ? null : textReason(reason) });
  }

  #chunk(choice: TextChoice): string {
    return `data: ${enveloped({ identity: this.#identity, usage: undefined, extension: undefined }, { choices: [choice] })}\n\n`;
  }
}

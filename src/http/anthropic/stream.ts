import type { Identity } from "../../model/call.ts";
import type { Choice } from "../../model/completion.ts";
import type { Delta } from "../../model/events.ts";
import { latin1, latin1Json } from "../../model/latin1.ts";
import type { Usage } from "../../model/usage.ts";
import type { Json } from "../openai/responses/json.ts";
import { Content, type ContentOptions } from "./content.ts";
import { messageJson } from "./message.ts";
import { messageUsage } from "./usage.ts";

/** One event, latin1. */
export function eventFrame(type: string, fields: Json = {}): string {
  return `event: ${type}\ndata: ${latin1Json({ type, ...fields })}\n\n`;
}

/** The frames of one streamed message, in order. */
export class MessageFrames {
  readonly #identity: Identity;
  readonly #content: Content;
  #frames = "";
  #begun = false;

  constructor(identity: Identity, options: ContentOptions) {
    this.#identity = identity;
    this.#content = new Content(options, (type, fields) => {
      this.#frames += eventFrame(type, fields);
    });
  }

  /** The message before anything is known; nothing the second time. */
  begin(): string {
    if (this.#begun) return "";
    this.#begun = true;
    const message = latin1(messageJson({ identity: this.#identity, usage: undefined }));
    return `event: message_start\ndata: {"type":"message_start","message":${message}}\n\n`;
  }

  deltas(deltas: readonly Delta[]): string {
    this.#content.addAll(deltas);
    return this.#taken();
  }

  /** What an answer that came at once says. */
  whole(choice: Choice): string {
    this.#content.addWhole(choice);
    return this.#taken();
  }

  /** The last events of a message that is whole; `comment` stands before the last, with its blank line. */
  finish(usage: Usage | undefined, extension: unknown, comment: string): string {
    const ending = this.#content.finish();
    const rest = this.#taken();
    const told = eventFrame("message_delta", {
      delta: { ...ending, container: null },
      usage: messageUsage(usage),
      ...(extension === undefined ? {} : { chorale: extension }),
    });
    return `${rest}${told}${comment}${eventFrame("message_stop")}`;
  }

  #taken(): string {
    const head = this.#frames === "" ? "" : this.begin();
    const out = head + this.#frames;
    this.#frames = "";
    return out;
  }
}

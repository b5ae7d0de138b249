import { latin1Json } from "../../../model/latin1.ts";
import type { Json } from "./json.ts";

/** Writes events as frames: the type twice, as clients want it, and a number that counts from 0. */
export class EventWriter {
  #sequence = 0;
  #frames = "";

  write(type: string, fields: Json): void {
    this.#frames += `event: ${type}\ndata: ${latin1Json({ type, sequence_number: this.#sequence, ...fields })}\n\n`;
    this.#sequence += 1;
  }

  /** What was written since the last time. */
  take(): string {
    const frames = this.#frames;
    this.#frames = "";
    return frames;
  }
}

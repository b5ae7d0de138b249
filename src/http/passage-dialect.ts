import type { Call } from "../model/call.ts";
import type { Asked } from "./asked.ts";
import type { Dialect, Reading } from "./dialect.ts";
import type { Pieces } from "./openai/completion.ts";
import { sendWhole } from "./whole.ts";

/** An endpoint whose answers are one JSON object each. */
interface WholeOnly<R extends Reading> extends Pick<Dialect<R>, "idPrefix" | "read" | "fail"> {
  /** The answer's JSON. Strings among the pieces are latin1. */
  answer(asked: Asked<R>, call: Call): Promise<Pieces>;
}

/** A dialect of an endpoint that does not stream; its `read` refuses to. */
export function wholeOnly<R extends Reading>(route: WholeOnly<R>): Dialect<R> {
  const whole: Dialect<R>["whole"] = async (asked, call, reply) => {
    sendWhole(asked, call, { reply, pieces: await route.answer(asked, call) });
    return { status: 200, stream: false };
  };
  return { ...route, whole, stream: whole };
}

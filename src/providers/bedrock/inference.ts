import type { ChatBody } from "../../model/request.ts";
import type { Json } from "../translate/json.ts";
import { readStops } from "../translate/stops.ts";
import type { Family } from "./families.ts";

export interface Inference {
  /** Absent when the request asks for nothing of it. */
  readonly inferenceConfig?: Json;
  readonly warnings: readonly string[];
}

/** `temperature` ends at 1 there. `takes` says that the model takes it and its like: else what changes nothing is left out without a word. */
function samplingOf(
  { temperature, top_p: topP, top_k: topK }: ChatBody,
  { isClaude }: Family,
  takes: boolean,
): { readonly config: Json; readonly warnings: readonly string[] } {
  if (!takes) {
    const lost = [
      ...(typeof temperature === "number" && temperature !== 1 ? ["temperature"] : []),
      ...(typeof topP === "number" && topP !== 1 ? ["top_p"] : []),
      ...(typeof topK === "number" ? ["top_k"] : []),
    ];
    return { config: {}, warnings: lost.map((field) => `does not take "${field}" here; it was left out`) };
  }
  const config = {
    ...(typeof temperature === "number" ? { temperature: Math.min(temperature, 1) } : {}),
    // Some of them refuse the two together, so the one that changes nothing is left out.
    ...(typeof topP === "number" && !(isClaude && topP === 1) ? { topP } : {}),
  };
  const isLowered = typeof temperature === "number" && temperature > 1;
  return { config, warnings: isLowered ? ["takes temperatures up to 1; this one was lowered"] : [] };
}

/** `inferenceConfig`. */
export function inferenceOf(body: ChatBody, family: Family, takes: boolean): Inference {
  const limit = body.max_completion_tokens ?? body.max_tokens;
  const { config: sampling, warnings } = samplingOf(body, family, takes);
  const stops = readStops(body);
  // Claude refuses white space alone; other makers' models stop at it.
  const taken = family.isClaude ? stops.filter((text) => text.trim() !== "") : stops;
  const config = {
    ...(typeof limit === "number" ? { maxTokens: limit } : {}),
    ...sampling,
    ...(taken.length > 0 ? { stopSequences: taken } : {}),
  };
  return {
    ...(Object.keys(config).length > 0 ? { inferenceConfig: config } : {}),
    warnings: [...(taken.length < stops.length ? ['does not stop at white space; it was left out of "stop"'] : []), ...warnings],
  };
}

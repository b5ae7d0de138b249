import { tokenCount as count, type Usage } from "../../model/usage.ts";
import { isRecord, type Json } from "../translate/json.ts";

function audioTokens(details: unknown): number | undefined {
  if (!Array.isArray(details)) return undefined;
  const audio = details.filter((detail) => isRecord(detail) && detail["modality"] === "AUDIO") as Json[];
  return audio.length === 0 ? undefined : audio.reduce((sum, detail) => sum + (count(detail["tokenCount"]) ?? 0), 0);
}

/** `usageMetadata` in our words: what was cached is a part of the prompt already, what was thought is no part of the candidates yet. */
export function readUsage(metadata: Json): Usage | undefined {
  const prompt = count(metadata["promptTokenCount"]);
  const written = count(metadata["candidatesTokenCount"]);
  const thoughts = count(metadata["thoughtsTokenCount"]);
  if (prompt === undefined && written === undefined && thoughts === undefined) return undefined;
  const cached = count(metadata["cachedContentTokenCount"]);
  const heard = audioTokens(metadata["promptTokensDetails"]);
  return {
    promptTokens: (prompt ?? 0) + (count(metadata["toolUsePromptTokenCount"]) ?? 0),
    completionTokens: (written ?? 0) + (thoughts ?? 0),
    ...(cached === undefined ? {} : { cachedTokens: cached }),
    ...(heard === undefined ? {} : { promptAudioTokens: heard }),
    ...(thoughts === undefined ? {} : { reasoningTokens: thoughts }),
  };
}

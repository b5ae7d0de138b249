import type { ChatBody } from "../../model/request.ts";
import { readEffort } from "../translate/effort.ts";
import { isRecord } from "../translate/json.ts";
import type { Family, Thinking } from "./families.ts";

export interface ThinkingOptions {
  readonly family: Family;
  /** Something in the request forbids to think about it. */
  readonly hindered: boolean;
  /** Takes the names of what was left out. */
  readonly dropped: Set<string>;
}

/** What a request asks of thinking, as far as the model and the rest of the request let it. Anthropic's own words for it go before an effort. */
export function thinkingOf(body: ChatBody, { family, hindered, dropped }: ThinkingOptions): Thinking {
  const { thinking: own, max_completion_tokens: most, max_tokens: older } = body;
  const asked = readEffort(body);
  const wish = { ...asked, maxTokens: most ?? older ?? undefined };
  const isBarred = hindered && family.isStrict;
  if (own !== undefined && own !== null) {
    const isOff = isRecord(own) && own["type"] === "disabled";
    const taken = isRecord(own) && (!isBarred || isOff) ? family.own?.(own, wish) : undefined;
    if (taken) return taken;
    dropped.add("thinking");
  }
  if (!asked) return {};
  const { effort = "medium" } = asked;
  const found = isBarred ? (effort === "none" ? {} : undefined) : family.thinking({ ...wish, effort });
  if (!found) dropped.add("reasoning_effort");
  return found ?? {};
}

/** True where the model thinks before it answers, as the request asks it to. */
export function isThought({ fields }: Thinking): boolean {
  const thinking = fields?.["thinking"];
  return isRecord(thinking) && thinking["type"] !== "disabled";
}

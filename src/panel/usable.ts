import { textOf, type Completion } from "../model/completion.ts";
import { withoutThoughts } from "./answers/plain.ts";

/** Whether an answer says that it will not answer, on the wire: prose that apologises is not looked for. */
export function isRefusal(completion: Completion): boolean {
  const choice = completion.choices[0];
  return choice?.finishReason === "content_filter" || Boolean(choice?.message.refusal);
}

/** What an answer says: its text, or its refusal. */
export function saidBy(completion: Completion): string {
  return textOf(completion) || (completion.choices[0]?.message.refusal ?? "");
}

/** Whether the answer stopped at a limit, not at its end. */
export function isCut(completion: Completion): boolean {
  return completion.choices[0]?.finishReason === "length";
}

/** Why a finished answer has nothing to count: a refusal, no text, thoughts alone, only a tool call. */
export function emptiness(completion: Completion, refusals: "unusable" | "usable"): string | undefined {
  if (isRefusal(completion)) return refusals === "unusable" || saidBy(completion) === "" ? "it is a refusal" : undefined;
  return withoutThoughts(textOf(completion)).trim() === "" ? "it is empty" : undefined;
}

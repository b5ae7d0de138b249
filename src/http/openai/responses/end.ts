import type { FinishReason } from "../../../model/events.ts";

/** How an answer ended. */
export interface End {
  readonly status: "completed" | "incomplete";
  readonly reason?: "max_output_tokens" | "content_filter";
}

export function endOf(reason: FinishReason): End {
  if (reason === "length") return { status: "incomplete", reason: "max_output_tokens" };
  if (reason === "content_filter") return { status: "incomplete", reason };
  return { status: "completed" };
}

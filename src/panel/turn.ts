import { change, type ChatRequest } from "../model/request.ts";
import { withSeed, withSettings, type Settings } from "./seats.ts";
import { withoutTools } from "./tools/tools.ts";

/** The client's messages as they are, so that upstream caches know them, and our turn behind them. Without tools: our steps call none. */
export function withTurn(request: ChatRequest, content: string): ChatRequest {
  return change(withoutTools(request), { messages: [...request.body.messages, { role: "user", content }] });
}

/** Fields that bound or shape the text that the client gets back. */
const RETURNED = [
  "response_format",
  "stop",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "presence_penalty",
  "frequency_penalty",
  "logprobs",
  "top_logprobs",
  "logit_bias",
  "prediction",
  "modalities",
  "audio",
  "verbosity",
  "web_search_options",
  "moderation",
  "store",
];

/** The request of a step that only another step reads: the conversation and our turn, under the step's own settings. */
export function asideRequest(
  request: ChatRequest,
  content: string,
  step: { readonly label: string; readonly settings: Settings },
): ChatRequest {
  const asked = withTurn(request, content);
  const present = RETURNED.filter((field) => asked.body[field] !== undefined);
  const bare = change(asked, Object.fromEntries(present.map((field) => [field, undefined])));
  return withSeed(withSettings(bare, step.settings), step.label);
}

import type { Call } from "../model/call.ts";
import { GatewayError } from "../model/errors.ts";
import type { ModelEvent } from "../model/events.ts";
import type { Model } from "../model/model.ts";
import type { ChatRequest } from "../model/request.ts";
import { noneOfRoles } from "./capable.ts";
import { answerTimes } from "./runs.ts";
import type { Role } from "./seats.ts";
import { offersTools } from "./tools/tools.ts";
import { answerTools, unableOfTools, type ToolsRule } from "./tools/turn.ts";

/** What every panel kind says about the fields that it does not handle itself. */
export interface PanelRules {
  readonly tools: ToolsRule;
  /** Whether the text that this request gets back is one leg's own output, so that its log-probabilities can be told. */
  ownText(request: ChatRequest): boolean;
  /** One of them has to take a request: when none may, neither may the panel. */
  readonly needs?: readonly Pick<Role, "model">[];
}

function asksLogprobs({ body }: ChatRequest): boolean {
  return body.logprobs === true || (typeof body.top_logprobs === "number" && body.top_logprobs > 0);
}

function asksAudio({ body: { modalities } }: ChatRequest): boolean {
  return Array.isArray(modalities) && modalities.includes("audio");
}

function unable(inner: Model, rules: PanelRules, request: ChatRequest): GatewayError | undefined {
  if (offersTools(request)) return unableOfTools(rules.tools, request);
  if (asksLogprobs(request) && !rules.ownText(request)) {
    return new GatewayError("unsupported_parameter", "This model's answer is not one model's own text, so it has no logprobs.", {
      param: "logprobs",
    });
  }
  if (asksAudio(request)) {
    return new GatewayError("unsupported_parameter", "This model compares and merges texts, so it has no audio.", { param: "modalities" });
  }
  return rules.needs ? noneOfRoles(rules.needs, request) : inner.unable?.(request);
}

function answer(inner: Model, rules: PanelRules, request: ChatRequest, call: Call): AsyncIterable<ModelEvent> {
  const error = unable(inner, rules, request);
  if (error) throw error;
  if (offersTools(request)) return answerTools(rules.tools, request, call);
  const { n } = request.body;
  return typeof n === "number" && n > 1 ? answerTimes(inner, n, request, call) : inner.stream(request, call);
}

/**
 * Makes a panel of a model that answers one tool-free request with one choice: turns with tools go by their policy, `n` becomes n independent
 * runs, log-probabilities are refused where they would be nobody's, and so is what no member may take. Wraps a strategy once, from outside.
 */
export function panel(inner: Model, rules: PanelRules): Model {
  return {
    name: inner.name,
    async *stream(request, call) {
      yield* answer(inner, rules, request, call);
    },
    unable: (request) => unable(inner, rules, request),
  };
}

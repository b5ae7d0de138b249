import { GatewayError } from "../../../model/errors.ts";

/** Fields of the chat inside, and what the client calls them. */
const names: readonly (readonly [RegExp, string])[] = [
  [/^messages\b.*$/s, "input"],
  [/^response_format\.json_schema\b/, "text.format"],
  [/^response_format\b/, "text.format"],
  [/^(?:max_completion_tokens|max_tokens)$/, "max_output_tokens"],
  [/^reasoning_effort$/, "reasoning.effort"],
  [/^verbosity$/, "text.verbosity"],
  [/^logprobs$/, "top_logprobs"],
  [/^(tools\[\d+\])\.(?:function|custom)\b/, "$1"],
];

/** An error that blames a field of the chat inside, in the client's own words. */
export function inOwnWords(error: GatewayError): GatewayError {
  const { message, type, param, code } = error.wire;
  const [pattern, name] = param === null ? [] : (names.find(([pattern]) => pattern.test(param)) ?? []);
  if (param === null || pattern === undefined || name === undefined) return error;
  const own = param.replace(pattern, name);
  const wire = { message: message.replaceAll(`'${param}'`, () => `'${own}'`), type, param: own, code };
  return new GatewayError(error.code, wire.message, { ...error.details, wire });
}

import { GatewayError } from "../../model/errors.ts";

/** Fields of the chat inside, and what the client calls them. */
const names: readonly (readonly [RegExp, string])[] = [
  // Messages are counted otherwise there.
  [/^messages\b.*$/s, "messages"],
  [/^max_completion_tokens$/, "max_tokens"],
  [/^stop$/, "stop_sequences"],
  [/^response_format\b.*$/s, "output_config.format"],
  [/^reasoning_effort$/, "output_config.effort"],
  [/^reasoning\b.*$/s, "thinking"],
  [/^user$/, "metadata.user_id"],
  [/^parallel_tool_calls$/, "tool_choice.disable_parallel_tool_use"],
  [/^(tools\[\d+\])\.function\.parameters\b/, "$1.input_schema"],
  [/^(tools\[\d+\])\.function\b/, "$1"],
];

/** An error that blames a field of the chat inside, in the client's own words. */
export function inOwnWords(error: GatewayError): GatewayError {
  const { message, type, param, code } = error.wire;
  const [pattern, name] = param === null ? [] : (names.find(([pattern]) => pattern.test(param)) ?? []);
  if (param === null || pattern === undefined || name === undefined) return error;
  const own = param.replace(pattern, name);
  const said = message.replaceAll(`'${param}'`, () => `'${own}'`).replaceAll(`"${param}"`, () => `"${own}"`);
  const wire = { message: said, type, param: own, code };
  return new GatewayError(error.code, said, { ...error.details, wire });
}

import { GatewayError } from "../../../model/errors.ts";

/** Fields of the chat inside, and what the client calls them. */
const names: readonly (readonly [RegExp, string])[] = [
  [/^messages\b.*$/s, "prompt"],
  [/^top_logprobs$/, "logprobs"],
];

/** An error that blames a field of the chat inside, in the words of a text completion. */
export function inTextWords(error: GatewayError): GatewayError {
  const { message, type, param, code } = error.wire;
  const own = param === null ? undefined : names.find(([pattern]) => pattern.test(param))?.[1];
  if (param === null || own === undefined) return error;
  const wire = { message: message.replaceAll(`'${param}'`, () => `'${own}'`), type, param: own, code };
  return new GatewayError(error.code, wire.message, { ...error.details, wire });
}

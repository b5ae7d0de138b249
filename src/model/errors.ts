import type { Signal } from "./abort.ts";

/** One row per failure: HTTP status, OpenAI `type`, OpenAI `code`, whether the same model may be tried again, whether another may succeed. */
const table = {
  //                      status  type                      code                       retry  elsewhere
  invalid_request: [400, "invalid_request_error", null, false, false],
  unsupported_parameter: [400, "invalid_request_error", "unsupported_parameter", false, false],
  /** A model that is known not to take what the request needs; `param` tells what. */
  incapable: [400, "invalid_request_error", "unsupported_parameter", false, true],
  context_length_exceeded: [400, "invalid_request_error", "context_length_exceeded", false, true],
  content_filter: [400, "invalid_request_error", "content_filter", false, false],
  unauthenticated: [401, "invalid_request_error", "invalid_api_key", false, false],
  /** An open gateway for this machine, asked under a public name. */
  host_not_allowed: [403, "invalid_request_error", "host_not_allowed", false, false],
  forbidden: [403, "invalid_request_error", "model_not_allowed", false, false],
  model_not_found: [404, "invalid_request_error", "model_not_found", false, false],
  not_found: [404, "invalid_request_error", "unknown_url", false, false],
  /** A record that is not there, or not this key's. */
  request_not_found: [404, "invalid_request_error", "request_not_found", false, false],
  method_not_allowed: [405, "invalid_request_error", "method_not_allowed", false, false],
  payload_too_large: [413, "invalid_request_error", "payload_too_large", false, false],
  unsupported_media_type: [415, "invalid_request_error", "unsupported_media_type", false, false],
  rate_limit_exceeded: [429, "requests", "rate_limit_exceeded", false, false],
  insufficient_quota: [429, "insufficient_quota", "insufficient_quota", false, false],
  budget_denied: [429, "insufficient_quota", "budget_exceeded", false, true],
  overloaded: [503, "service_unavailable_error", "server_is_overloaded", false, false],
  shutting_down: [503, "service_unavailable_error", "server_is_shutting_down", false, false],
  loop_detected: [508, "invalid_request_error", "loop_detected", false, false],
  upstream_invalid: [400, "invalid_request_error", null, false, false],
  upstream_auth: [502, "api_error", "upstream_auth", false, true],
  upstream_model_not_found: [404, "invalid_request_error", "model_not_found", false, true],
  upstream_rate_limited: [429, "requests", "rate_limit_exceeded", true, true],
  upstream_quota: [429, "insufficient_quota", "insufficient_quota", false, true],
  upstream_overloaded: [503, "service_unavailable_error", "server_is_overloaded", true, true],
  upstream_error: [502, "api_error", "upstream_error", true, true],
  upstream_unreachable: [502, "api_error", "upstream_unreachable", true, true],
  upstream_protocol: [502, "api_error", "upstream_protocol", false, true],
  upstream_timeout: [504, "api_error", "upstream_timeout", false, true],
  /** Nothing was recorded of what a replay is asked. */
  replay_miss: [404, "invalid_request_error", "replay_miss", false, false],
  /** A panel below its quorum, or a chain whose members all failed for different reasons. */
  all_failed: [502, "api_error", "all_models_failed", false, true],
  /** Finished, but empty, a refusal, or without what the panel needs of it. */
  unusable_answer: [502, "api_error", "unusable_answer", false, true],
  schema_unsatisfied: [502, "api_error", "schema_unsatisfied", false, true],
  /** The slot has no attempt left: whoever is asked next has none either. */
  attempts_exhausted: [502, "api_error", "attempts_exhausted", false, false],
  /** A leg that its own strategy no longer wants: outvoted, hedged away, quorum reached. */
  cancelled: [499, "api_error", "cancelled", false, false],
  client_closed: [499, "api_error", "client_closed_request", false, false],
  deadline_exceeded: [504, "api_error", "deadline_exceeded", false, false],
  internal: [500, "api_error", "internal_error", false, false],
} as const satisfies Record<string, readonly [number, string, string | null, boolean, boolean]>;

export type ErrorCode = keyof typeof table;

/** True for a code of the table, as one that comes from a file may not be. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(table, code);
}

/** The four fields of an OpenAI error body. */
export interface WireError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

export interface ErrorDetails {
  /** The request field that is to blame. */
  readonly param?: string;
  /** How long the one who refused asked to wait. */
  readonly retryAfterMs?: number;
  /** `provider/model` of the leg that failed. */
  readonly upstream?: string;
  /** The HTTP status that the upstream answered with. */
  readonly upstreamStatus?: number;
  /** The upstream's own four fields, where the client is to see them unchanged. */
  readonly wire?: WireError;
  /** How many attempts were made on this model. */
  readonly attempts?: number;
  /** Why each member failed. */
  readonly causes?: readonly GatewayError[];
  /** For logs only; never shown to a client. */
  readonly cause?: unknown;
}

/**
 * The only error that leaves a Model. `message` is written for the client: it names no host, port, URL or key.
 */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "GatewayError";
    this.code = code;
    this.details = details;
  }

  /** HTTP status for the client. */
  get status(): number {
    return table[this.code][0];
  }

  /** The same model may be tried again. */
  get retry(): boolean {
    return table[this.code][3];
  }

  /** Another model may succeed. */
  get elsewhere(): boolean {
    return table[this.code][4];
  }

  /** The error as the OpenAI API writes it. */
  get wire(): WireError {
    if (this.details.wire) return this.details.wire;
    const [, type, code] = table[this.code];
    // Whoever does not know the model, it is that field of the request.
    const { param = this.code === "upstream_model_not_found" ? "model" : null, attempts = 1 } = this.details;
    const message = attempts > 1 ? `${this.message} It was tried ${attempts} times.` : this.message;
    return { message, type, param, code };
  }
}

/**
 * The only place where an unknown throwable becomes ours. An aborted signal wins over whatever was thrown, and its reason is the answer, so
 * that a deadline is not mistaken for a client who left. Signals are always aborted with a GatewayError.
 */
export function toGatewayError(thrown: unknown, signal?: Signal): GatewayError {
  if (signal?.aborted && signal.reason instanceof GatewayError) return signal.reason;
  if (thrown instanceof GatewayError) return thrown;
  return new GatewayError("internal", "The gateway failed on this request.", { cause: thrown });
}

/** Throws the reason of an aborted signal. */
export function throwIfAborted(signal: Signal): void {
  if (signal.aborted) throw toGatewayError(signal.reason, signal);
}

function smallestRetryAfter(errors: readonly GatewayError[]): number | undefined {
  const waits = errors.map((error) => error.details.retryAfterMs).filter((wait) => wait !== undefined);
  return waits.length > 0 ? Math.min(...waits) : undefined;
}

/** Why an answer did not count, without what stands in brackets: that quotes the answer. */
function fault({ code, details: { upstream }, message }: GatewayError): string {
  const opening = `${upstream}: `;
  if (code !== "unusable_answer" || !message.startsWith(opening)) return "";
  return ` (${message.slice(opening.length).replace(/(?: \(.*)?\.$/s, "")})`;
}

function line(error: GatewayError): string {
  const { upstream, attempts, upstreamStatus } = error.details;
  const tried = attempts === undefined ? "" : `, ${attempts} ${attempts === 1 ? "attempt" : "attempts"}`;
  const status = upstreamStatus === undefined ? "" : ` (HTTP ${upstreamStatus})`;
  return `${upstream ?? "member"}: ${error.code}${status}${fault(error)}${tried}`;
}

/** Flattens nested failures to the legs that caused them. */
function legsOf(errors: readonly GatewayError[]): readonly GatewayError[] {
  return errors.flatMap((error) => (error.details.causes?.length ? legsOf(error.details.causes) : [error]));
}

/**
 * One error for a group that failed as a whole: all rate-limited is 429 with the smallest Retry-After, all overloaded 503, all timed out 504,
 * else 502 with one line per member. A group of one, or one whose every member says the same client error, stays as it is; so does a request
 * that is too much for all of them.
 */
export function allFailed(what: string, errors: readonly GatewayError[]): GatewayError {
  const [first] = errors;
  if (first && errors.length === 1) return first;
  const legs = legsOf(errors);
  const lines = legs.map(line).join("; ");
  const retryAfterMs = smallestRetryAfter(legs);
  const [leg] = legs;
  if (leg && leg.status < 499 && !leg.elsewhere && legs.every((error) => error.code === leg.code)) return leg;
  if (leg && legs.every(({ code }) => code === "incapable" || code === "context_length_exceeded")) {
    // Who could take all the rest says best what is wrong.
    return legs.find(({ code }) => code === "context_length_exceeded") ?? leg;
  }
  const details: ErrorDetails = {
    causes: errors,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  for (const code of ["upstream_rate_limited", "upstream_overloaded", "upstream_timeout", "budget_denied", "loop_detected"] as const) {
    if (legs.length > 0 && legs.every((error) => error.code === code)) return new GatewayError(code, `${what}: ${lines}`, details);
  }
  return new GatewayError("all_failed", `${what}: ${lines || "no member answered"}`, details);
}

import { describe, expect, test } from "vitest";
import { inbandError, refusalError } from "../../../src/providers/anthropic/errors.ts";

const wallMs = Date.parse("2026-11-23T12:00:00Z");
const refused = (status: number, body: unknown, headers = {}) => refusalError("up/c", { status, headers, body, wallMs });
const error = (type: string, message: string, details?: object) => ({
  type: "error",
  error: { type, message, ...(details ? { details } : {}) },
});

describe("refusalError", () => {
  test.each<readonly [number, unknown, string, number]>([
    [400, error("invalid_request_error", "messages: text content blocks must be non-empty"), "upstream_invalid", 400],
    [400, error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), "context_length_exceeded", 400],
    [400, error("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 3"), "context_length_exceeded", 400],
    [400, error("invalid_request_error", "Your credit balance is too low to access the API."), "upstream_quota", 429],
    [
      400,
      { error: { code: 400, message: "the request exceeds the available context size", type: "exceed_context_size_error" } },
      "context_length_exceeded",
      400,
    ],
    [401, error("authentication_error", "invalid x-api-key"), "upstream_auth", 502],
    [402, error("billing_error", "pay"), "upstream_quota", 429],
    [403, error("permission_error", "no"), "upstream_auth", 502],
    [404, error("not_found_error", "model: claude-9"), "upstream_model_not_found", 404],
    [409, error("conflict_error", "no"), "upstream_invalid", 400],
    [413, error("request_too_large", "32 MB"), "payload_too_large", 413],
    [429, error("rate_limit_error", "slow"), "upstream_rate_limited", 429],
    [429, error("rate_limit_error", "spent", { error_code: "enforced_spend_limit_reached" }), "upstream_quota", 429],
    [500, error("api_error", "oops"), "upstream_error", 502],
    [504, error("timeout_error", "slow"), "upstream_timeout", 504],
    [529, error("overloaded_error", "busy"), "upstream_overloaded", 503],
    [529, undefined, "upstream_overloaded", 503],
    [502, "gateway", "upstream_error", 502],
    [400, { error: { type: "something_new", message: "no" } }, "upstream_invalid", 400],
    [418, [], "upstream_invalid", 400],
  ])("%i with %j is %s", (status, body, code, told) => {
    const found = refused(status, body);
    expect([found.code, found.status, found.details.upstreamStatus, found.details.upstream]).toEqual([code, told, status, "up/c"]);
  });

  test("what the client can act on is told in the upstream's words, and in OpenAI's code", () => {
    expect(refused(400, error("invalid_request_error", "prompt is too long: 9 > 8")).wire).toEqual({
      message: "prompt is too long: 9 8",
      type: "invalid_request_error",
      param: null,
      code: "context_length_exceeded",
    });
    const { wire } = refused(401, error("authentication_error", "invalid x-api-key sk-ant-0123456789"));
    expect(wire).toEqual({
      message: "up/c refused the gateway's credentials (HTTP 401)",
      type: "api_error",
      param: null,
      code: "upstream_auth",
    });
  });

  test("no message tells addresses, keys or markup", () => {
    const message = "<b>Bad</b> key sk-ant-abcdefgh1234 at https://10.0.0.7:8000/v1, Bearer abcdefghijk";
    for (const type of ["invalid_request_error", "rate_limit_error", "api_error", "overloaded_error"]) {
      expect(refused(400, error(type, message)).wire.message).not.toMatch(/sk-ant|10\.0|https|<|abcdefghijk/);
    }
  });

  test("a limit without retry-after is over when what is used up is free again", () => {
    const headers = {
      "anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": "2026-11-23T12:00:05Z",
      "anthropic-ratelimit-input-tokens-remaining": "0",
      "anthropic-ratelimit-input-tokens-reset": "2026-11-23T12:00:20Z",
      "anthropic-ratelimit-output-tokens-remaining": "9",
      "anthropic-ratelimit-output-tokens-reset": "2026-11-23T13:00:00Z",
    };
    const limit = error("rate_limit_error", "slow");
    expect(refused(429, limit, headers).details.retryAfterMs).toBe(20_000);
    expect(refused(429, limit, { ...headers, "retry-after": "2" }).details.retryAfterMs).toBe(2000);
    expect(refused(429, limit).details.retryAfterMs).toBeUndefined();
  });
});

test("a failure inside an answer has the same code, and no status", () => {
  const found = inbandError("up/c", error("overloaded_error", "Overloaded"));
  expect([found.code, found.details.upstreamStatus, found.wire.message]).toEqual(["upstream_overloaded", undefined, "Overloaded"]);
  expect(inbandError("up/c", error("authentication_error", "key")).wire.message).toBe(
    "up/c refused the gateway's credentials in the middle of its answer",
  );
  expect(inbandError("up/c", error("new_error", "x")).code).toBe("upstream_error");
  expect(inbandError("up/c", error("api_error", "no way to gpu-7.acme.com")).wire.message).toBe("no way to [address]");
});

import { describe, expect, test } from "vitest";
import { allFailed, type ErrorCode, type ErrorDetails, GatewayError, throwIfAborted, toGatewayError } from "../../src/model/errors.ts";

function failure(code: ErrorCode, details: ErrorDetails = {}): GatewayError {
  return new GatewayError(code, "It failed.", details);
}

describe("the table", () => {
  test.for<readonly [ErrorCode, number, retry: boolean, elsewhere: boolean]>([
    ["upstream_rate_limited", 429, true, true],
    ["upstream_overloaded", 503, true, true],
    ["upstream_timeout", 504, false, true],
    ["upstream_auth", 502, false, true],
    ["context_length_exceeded", 400, false, true],
    ["budget_denied", 429, false, true],
    ["content_filter", 400, false, false],
    ["upstream_invalid", 400, false, false],
    ["attempts_exhausted", 502, false, false],
    ["cancelled", 499, false, false],
    ["deadline_exceeded", 504, false, false],
  ])("%s is %i; retry %s, elsewhere %s", ([code, status, retry, elsewhere]) => {
    expect(failure(code)).toMatchObject({ code, status, retry, elsewhere });
  });

  test("writes an error as the OpenAI API does", () => {
    expect(failure("unsupported_parameter", { param: "logprobs" }).wire).toEqual({
      message: "It failed.",
      type: "invalid_request_error",
      param: "logprobs",
      code: "unsupported_parameter",
    });
  });

  test("leaves the upstream's own four fields as they were", () => {
    const wire = {
      message: "Too long.",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    };
    expect(failure("context_length_exceeded", { wire }).wire).toBe(wire);
  });
});

describe("toGatewayError", () => {
  const reason = failure("deadline_exceeded");

  test("lets the reason of an abort win over what was thrown", () => {
    expect(toGatewayError(failure("upstream_error"), AbortSignal.abort(reason))).toBe(reason);
  });

  test("keeps an error of ours, and hides any other", () => {
    const ours = failure("upstream_error");
    expect(toGatewayError(ours)).toBe(ours);
    expect(toGatewayError(new Error("secret host"))).toMatchObject({
      code: "internal",
      message: "The gateway failed on this request.",
    });
  });

  test("throws for an aborted signal only", () => {
    expect(() => throwIfAborted(AbortSignal.abort(reason))).toThrow(reason);
    throwIfAborted(new AbortController().signal);
  });
});

describe("allFailed", () => {
  const limited = (upstream: string, retryAfterMs?: number) =>
    failure("upstream_rate_limited", {
      upstream,
      upstreamStatus: 429,
      attempts: 2,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });

  test("leaves the error of a group of one as it is", () => {
    const only = failure("upstream_error");
    expect(allFailed("smart", [only])).toBe(only);
  });

  test.for<ErrorCode>(["upstream_rate_limited", "upstream_overloaded", "upstream_timeout", "context_length_exceeded", "budget_denied"])(
    "stays %s when every member says so",
    (code) => {
      expect(allFailed("smart", [failure(code), failure(code)]).code).toBe(code);
    },
  );

  test("tells the smallest time to wait", () => {
    expect(allFailed("smart", [limited("a", 9000), limited("b", 4000), limited("c")]).details.retryAfterMs).toBe(4000);
  });

  test("tells for each member its cause and its attempts", () => {
    const mixed = allFailed("smart", [limited("a"), failure("upstream_timeout", { upstream: "b", attempts: 1 })]);
    expect(mixed).toMatchObject({
      code: "all_failed",
      status: 502,
      message: "smart: a: upstream_rate_limited (HTTP 429), 2 attempts; b: upstream_timeout, 1 attempt",
    });
  });

  test("looks through nested groups to the legs", () => {
    const inner = allFailed("inner", [limited("a", 500), limited("b")]);
    expect(allFailed("outer", [inner, limited("c")])).toMatchObject({
      code: "upstream_rate_limited",
      details: { retryAfterMs: 500 },
    });
  });

  test("is the client's error when every member says the same one", () => {
    const first = failure("upstream_invalid", { upstream: "a" });
    expect(allFailed("smart", [first, failure("upstream_invalid", { upstream: "b" })])).toBe(first);
    expect(allFailed("smart", [first, failure("content_filter")]).code).toBe("all_failed");
  });

  test("has an error for no member at all", () => {
    expect(allFailed("smart", [])).toMatchObject({
      code: "all_failed",
      message: "smart: no member answered",
    });
  });
});

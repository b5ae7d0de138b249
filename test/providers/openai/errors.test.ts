import { describe, expect, test } from "vitest";
import { cleanMessage, inbandError, refusalError, retryAfterMs } from "../../../src/providers/openai/errors.ts";

const wallMs = Date.parse("2026-11-23T12:00:00Z");
const refused = (status: number, body: unknown, headers = {}) => refusalError({ upstream: "up/a", status, headers, body, wallMs });

describe("refusalError", () => {
  test.each<readonly [number, unknown, string, number]>([
    [400, { error: { message: "bad", type: "invalid_request_error", param: "n", code: null } }, "upstream_invalid", 400],
    [400, { error: { message: "This model's maximum context length is 8192 tokens" } }, "context_length_exceeded", 400],
    [400, { error: { code: 400, message: "too long", type: "exceed_context_size_error" } }, "context_length_exceeded", 400],
    [
      400,
      { error: { message: "too long", param: "messages[1].content", code: "string_above_max_length" } },
      "context_length_exceeded",
      400,
    ],
    [
      400,
      { error: { message: "too long", param: "messages[1].tool_calls[0].id", code: "string_above_max_length" } },
      "upstream_invalid",
      400,
    ],
    [400, { error: { message: "too long", param: "user", code: "string_above_max_length" } }, "upstream_invalid", 400],
    [413, { error: { message: "prompt is too long" } }, "context_length_exceeded", 400],
    [413, "too big", "payload_too_large", 413],
    [400, { error: { message: "filtered", code: "content_filter" } }, "content_filter", 400],
    [422, { detail: [{ loc: ["body", "x"], msg: "extra fields" }] }, "upstream_invalid", 400],
    [401, { error: { message: "no" } }, "upstream_auth", 502],
    [403, undefined, "upstream_auth", 502],
    [402, undefined, "upstream_quota", 429],
    [404, { error: { message: "no such model" } }, "upstream_model_not_found", 404],
    [408, undefined, "upstream_timeout", 504],
    [429, { error: { message: "slow down" } }, "upstream_rate_limited", 429],
    [429, { error: { message: "pay", code: "insufficient_quota" } }, "upstream_quota", 429],
    [429, { error: { message: "pay", type: "insufficient_quota" } }, "upstream_quota", 429],
    [500, undefined, "upstream_error", 502],
    [503, { error: "loading" }, "upstream_overloaded", 503],
    [529, { error: { type: "overloaded_error", message: "busy" } }, "upstream_overloaded", 503],
    [504, undefined, "upstream_timeout", 504],
    [302, undefined, "upstream_protocol", 502],
    [200, { error: { message: "x", code: 429 } }, "upstream_rate_limited", 429],
  ])("%i with %j is %s", (status, body, code, told) => {
    const error = refused(status, body);
    expect([error.code, error.status, error.details.upstreamStatus, error.details.upstream]).toEqual([code, told, status, "up/a"]);
  });

  test("shows the upstream's own four fields where the client can act on them", () => {
    const fields = { message: "n is too big", type: "invalid_request_error", param: "n", code: "integer_above_max" };
    expect(refused(400, { error: fields }).wire).toEqual(fields);
    expect(refused(400, [{ error: fields }]).wire).toEqual(fields);
    expect(refused(401, { error: fields }).wire).toMatchObject({ code: "upstream_auth" });
  });

  test("a model that the upstream does not know is the request's model", () => {
    const body = { error: { message: "no such model", param: null } };
    for (const { wire } of [refused(404, body), inbandError("up/a", { error: { ...body.error, code: 404 } }, wallMs)])
      expect(wire).toMatchObject({ param: "model", code: "model_not_found" });
  });

  test("a 404 that is about no model may be about the address", () => {
    for (const body of [undefined, { detail: "Not Found" }])
      expect(refused(404, body).message).toContain("a baseUrl goes up to and with /v1");
    expect(refused(404, { error: { message: "The model `x` does not exist" } }).message).not.toContain("baseUrl");
  });

  test("never tells addresses, keys or markup", () => {
    const message = "<b>Bad</b> key sk-abcdefgh1234 at https://10.0.0.7:8000/v1, Bearer abcdefghijk, AIzaSyA1234567890";
    for (const status of [400, 429, 500, 503]) {
      const { wire } = refused(status, { error: { message } });
      expect(wire.message).not.toMatch(/sk-abc|10\.0|https|<|abcdefghijk|AIza/);
    }
  });

  test("reads errors inside answers by their words", () => {
    const at = (error: unknown) => inbandError("up/a", { error }, wallMs);
    expect(at({ message: "x", type: "rate_limit_error" }).code).toBe("upstream_rate_limited");
    expect(at({ message: "x", type: "overloaded_error" }).code).toBe("upstream_overloaded");
    expect(at({ message: "x", type: "invalid_request_error" }).code).toBe("upstream_invalid");
    expect(at("boom").wire).toEqual({ message: "boom", type: "api_error", param: null, code: "upstream_error" });
    expect(at({ message: "boom", type: "server_error" }).wire).toMatchObject({ message: "boom", type: "server_error" });
  });
});

test.each<readonly [object, number | undefined]>([
  [{ "retry-after": "7" }, 7000],
  [{ "retry-after": "0.5" }, 500],
  [{ "retry-after": "0" }, 0],
  [{ "retry-after": "-1" }, undefined],
  [{ "retry-after": "" }, undefined],
  [{ "retry-after": "soon" }, undefined],
  [{ "retry-after": "Mon, 23 Nov 2026 12:00:30 GMT" }, 30_000],
  [{ "retry-after": "Mon, 23 Nov 2026 11:00:00 GMT" }, 0],
  [{ "retry-after-ms": "250", "retry-after": "7" }, 250],
  [{ "retry-after-ms": "x", "retry-after": "7" }, 7000],
  [{}, undefined],
])("retryAfterMs reads %j as %j", (headers, ms) => {
  expect(retryAfterMs({ ...headers }, wallMs)).toBe(ms);
});

test.each([
  ["a <b>b</b>\n c", "a b c"],
  ["see http://x.y/z now", "see [address] now"],
  ["at 10.1.2.3:80!", "at [address]!"],
  ["x".repeat(900), "x".repeat(500)],
])("cleanMessage makes %j fit for clients", (given, wanted) => {
  expect(cleanMessage(given)).toBe(wanted);
});

test.each([
  ["dial db.internal.example:5432 failed", "dial [address] failed"],
  ["dial localhost:8080 failed", "dial [address] failed"],
  ["dial [2001:db8::1]:443 failed", "dial [address] failed"],
  ["dial secret-host.internal failed", "dial [address] failed"],
  ["dial a.svc.cluster.local. No", "dial [address]. No"],
])("cleanMessage tells no host: %j", (given, wanted) => {
  expect(cleanMessage(given)).toBe(wanted);
});

test.each([
  ["inner fail at gpu-7.acme.com", "inner fail at [address]"],
  ["no route to (acme.ai), tried box.rack2.acme", "no route to ([address]), tried [address]"],
  ["connect ECONNREFUSED gpu-7:8000", "connect ECONNREFUSED [address]"],
  ["torch.cuda.OutOfMemoryError: tried 2.5 GiB at step 12:30 of v1.2.3. Sorry", undefined],
])("an upstream's own failure is told without hosts: %j", (message, wanted = message) => {
  const body = { error: { message, type: "server_error" } };
  for (const { wire, message } of [refused(500, body), refused(503, body), inbandError("up/a", body, wallMs)]) {
    expect(wire.message).toContain(wanted);
    expect(message).toContain(wanted);
  }
  // Of the request's own fault every word counts.
  const field = `messages.0.content.text is wrong: ${message}`;
  expect(refused(400, { error: { message: field } }).wire.message).toBe(field);
});

test("cleanMessage is quick with what was made to be slow", () => {
  const startMs = performance.now();
  for (const piece of ["<", "a.", "a", "[", "Bearer ", "a-", ":", "a.a-"]) refused(500, { error: { message: piece.repeat(500_000) } });
  expect(performance.now() - startMs).toBeLessThan(500);
});

test("what is said of the gateway's own account is not for clients", () => {
  for (const [status, code] of [
    [401, "upstream_auth"],
    [402, "upstream_quota"],
  ] as const) {
    const body = { error: { message: "Org acme-corp owes 7 USD", code: status } };
    for (const error of [refused(status, body), inbandError("up/a", body, wallMs)]) {
      expect(error.code).toBe(code);
      expect(`${error.message} ${JSON.stringify(error.wire)}`).not.toContain("acme");
    }
  }
});

test("type, param and code are words", () => {
  const { wire } = refused(400, { error: { message: "x", type: "a b <b>", param: "messages[0].content", code: "x".repeat(101) } });
  expect(wire).toMatchObject({ type: "invalid_request_error", param: "messages[0].content", code: null });
});

test("nobody is asked to wait for more than a day", () => {
  for (const headers of [{ "retry-after": "1e300" }, { "retry-after-ms": "1e300" }, { "retry-after": "Mon, 23 Nov 2099 12:00:30 GMT" }])
    expect(retryAfterMs(headers, wallMs)).toBe(86_400_000);
});

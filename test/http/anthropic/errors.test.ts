import { describe, expect, test } from "vitest";
import { clientKey } from "../../support/gateway.ts";
import { errorJson, json, type Script } from "../../support/upstream.ts";
import { startMessages, wrongError, type Fields } from "./asking.ts";
import { says } from "../../support/answers.ts";

/** Status, type and code of an error, which has to have the API's shape. */
async function told(response: Response): Promise<readonly unknown[]> {
  const text = await response.text();
  expect(wrongError(text, response.headers)).toEqual([]);
  const { error } = JSON.parse(text) as { readonly error: { readonly type: string; readonly details?: Fields } };
  return [response.status, error.type, error.details?.["error_code"], error.details?.["param"]].filter((value) => value !== undefined);
}

const failing = (status: number, headers: Readonly<Record<string, string>> = {}): Script => json(status, errorJson("No."), headers);

test.each<[string, Script, readonly unknown[]]>([
  ["a rate limit", failing(429, { "retry-after": "7" }), [429, "rate_limit_error", "rate_limit_exceeded"]],
  ["an overload", failing(503), [503, "overloaded_error", "server_is_overloaded"]],
  ["a fault", failing(500), [502, "api_error", "upstream_error"]],
  ["the gateway's own key refused", failing(401), [502, "api_error", "upstream_auth"]],
  ["no answer at all", ({ socket }) => void socket.destroy(), [502, "api_error", "upstream_unreachable"]],
  [
    "a prompt that is too long",
    json(400, errorJson("too long", { code: "context_length_exceeded", param: "messages" })),
    [400, "invalid_request_error", "context_length_exceeded", "messages"],
  ],
  [
    "a field that the server does not take",
    json(400, errorJson("Unsupported value: 'stop'", { code: "unsupported_value", param: "stop" })),
    [400, "invalid_request_error", "unsupported_value", "stop_sequences"],
  ],
])("%s of an upstream, whole and streamed", async (_, script, expected) => {
  const { ask } = await startMessages({ a: script });
  for (const stream of [false, true]) expect(await told(await ask({ stream }))).toEqual(expected);
});

test("a limit of an upstream says how long to wait", async () => {
  const { ask } = await startMessages({ a: failing(429, { "retry-after": "7" }) });
  const { headers } = await ask();
  expect([headers.get("retry-after"), headers.get("x-should-retry")]).toEqual(["7", null]);
});

test("an error's message speaks of the client's own field", async () => {
  const { ask } = await startMessages({ a: json(400, errorJson("Unsupported parameter: 'stop'.", { param: "stop" })) });
  expect(await (await ask()).json()).toMatchObject({ error: { message: expect.stringContaining("'stop_sequences'") as unknown } });
});

test("a key that is wrong, or none", async () => {
  const { send } = await startMessages({});
  for (const path of ["/messages", "/messages/count_tokens"]) {
    expect(await told(await send(path, "{}", { "x-api-key": "sk-wrong-0123456789" }))).toEqual([
      401,
      "authentication_error",
      "invalid_api_key",
    ]);
    expect(await told(await send(path, "{}", { "x-api-key": "" }))).toEqual([401, "authentication_error", "invalid_api_key"]);
  }
});

test("a key may come as a bearer token too, which then counts alone", async () => {
  const { ask } = await startMessages({ a: says("4") });
  expect((await ask({}, { "x-api-key": "wrong", authorization: `Bearer ${clientKey}` })).status).toBe(200);
  expect((await ask({}, { authorization: "Bearer wrong" })).status).toBe(401);
});

test("a model that is not there, or not this key's", async () => {
  const keys = [{ name: "team-a", key: clientKey, models: ["up/a"] }];
  const { ask } = await startMessages({ a: says("4") }, { config: { keys } });
  expect((await ask()).status).toBe(200);
  for (const model of ["nobody", "up/b"])
    expect(await told(await ask({ model }))).toEqual([404, "not_found_error", "model_not_found", "model"]);
});

test("limits and money of a key", async () => {
  const limited = await startMessages(
    { a: says("4") },
    { config: { keys: [{ name: "team-a", key: clientKey, limits: { requestsPerMinute: 1 } }] } },
  );
  expect((await limited.ask()).status).toBe(200);
  const refused = await limited.ask();
  expect(refused.headers.get("retry-after")).not.toBeNull();
  expect(await told(refused)).toEqual([429, "rate_limit_error", "rate_limit_exceeded"]);
  const spent = await startMessages(
    { a: says("4") },
    {
      provider: { prices: { a: { in: 1000, out: 1000 } } },
      config: { keys: [{ name: "team-a", key: clientKey, budget: { usd: 0.000001, per: "day" } }] },
    },
  );
  // The word at which official clients do not try again.
  expect(await told(await spent.ask())).toEqual([429, "rate_limit_error", "enforced_spend_limit_reached"]);
});

describe("a body that is no request", () => {
  const valid = '"model":"up/a","max_tokens":9,"messages":[{"role":"user","content":"x"}]';
  const deep = `${"[".repeat(300)}${"]".repeat(300)}`;
  const endless = "[".repeat(200_000);
  test.each<[string, string, readonly unknown[]]>([
    ["nothing", "", []],
    ["no JSON", "{", []],
    ["a text", '"x"', []],
    ["a list", "[]", []],
    ["null", "null", []],
    ["NaN", `{${valid},"temperature":NaN}`, []],
    ["a number beyond all", `{${valid},"temperature":1e999}`, ["temperature"]],
    ["a key that stands twice", `{${valid},"max_tokens":8}`, ["max_tokens"]],
    ["a key that stands twice, once with an escape", `{${valid},"max_\\u0074okens":8}`, ["max_tokens"]],
    ["300 levels", `{${valid},"x":${deep}}`, []],
    ["brackets without an end", endless, []],
    [
      "300 levels in what a tool is given",
      `{"model":"up/a","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"x","input":{"x":${deep}}}]}]}`,
      [],
    ],
  ])("%s", async (_, body, named) => {
    const { send, upstream } = await startMessages({ a: says("4") });
    for (const path of ["/messages", "/messages/count_tokens"])
      expect(await told(await send(path, body))).toEqual(
        [400, "invalid_request_error", "invalid_request", ...named].filter((value) => value !== "invalid_request"),
      );
    expect(upstream.requests).toHaveLength(0);
  });

  test.each([
    ["lone surrogates", '"system":"a\\ud800b"', "a\\ud800b"],
    ["a key that is a trap", '"__proto__":{"stream":true},"constructor":1', '"__proto__":{"stream":true}'],
    ["a zero byte", '"system":"a\\u0000b"', "a\\u0000b"],
  ])("%s harm nobody", async (_, field, forwarded) => {
    const { send, upstream } = await startMessages({ a: says("4") });
    const response = await send("/messages", `{${valid},${field}}`);
    expect(response.status).toBe(200);
    expect(upstream.requests[0]?.body.toString()).toContain(forwarded);
    expect(upstream.requests[0]?.json["stream"]).toBeUndefined();
  });
});

test("another method, another type of body, a body that is too large, a path that is not there", async () => {
  const { gateway, send } = await startMessages({ a: says("4") }, { config: { server: { bodyLimitMb: 1 } } });
  expect(await told(await gateway.get("/v1/messages"))).toEqual([405, "invalid_request_error", "method_not_allowed"]);
  expect(await told(await send("/messages", "x=1", { "content-type": "text/plain" }))).toEqual([
    415,
    "invalid_request_error",
    "unsupported_media_type",
  ]);
  expect(await told(await send("/messages", JSON.stringify("x".repeat(1_100_000))))).toEqual([
    413,
    "request_too_large",
    "payload_too_large",
  ]);
  expect(await told(await send("/messages/batches", "{}"))).toEqual([404, "not_found_error", "unknown_url"]);
  const doubled = await send("/v1/messages", "{}");
  expect(await doubled.json()).toMatchObject({ type: "error", error: { message: expect.stringContaining("without /v1") as unknown } });
});

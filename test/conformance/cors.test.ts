import { expect, onTestFinished, test } from "vitest";
import { startPair } from "../support/gateway.ts";
import { chunkStream, completionJson, json, sse } from "../support/upstream.ts";

const origin = "https://app.example.com";
const start = (origins: readonly string[]) =>
  startPair(
    { a: json(200, completionJson("4")), s: sse(chunkStream(["4"])) },
    { onFinished: onTestFinished, config: { server: { cors: { origins } } } },
  );

test("A-COR-01 a preflight needs no key and allows what it asks for", async () => {
  const wanted = "authorization,content-type,x-stainless-lang,x-stainless-retry-count,openai-organization";
  const { gateway, upstream } = await start([origin]);
  const response = await fetch(`${gateway.url}/chat/completions`, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": wanted },
  });
  expect([200, 204]).toContain(response.status);
  expect(response.headers.get("access-control-allow-origin")).toBe(origin);
  expect(response.headers.get("access-control-allow-headers")).toBe(wanted);
  expect(response.headers.get("access-control-allow-methods")).toContain("POST");
  expect(upstream.requests).toHaveLength(0);
});

test.each([["*"], [origin]])("A-COR-02 every answer can be read by a page when origins are %s", async (allowed) => {
  const { gateway } = await start([allowed]);
  const headers = { origin };
  const answers = [
    await gateway.chat({}, { headers }),
    await gateway.chat({ model: "up/s", stream: true }, { headers }),
    await gateway.chat("{", { headers }),
    await gateway.chat({}, { headers: { origin, authorization: "Bearer wrong" } }),
    await gateway.chat({}, { headers: { origin, "content-type": "text/plain" } }),
    await gateway.get("/v1/nope", { headers }),
    await gateway.get("/v1/models", { headers }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 400, 401, 415, 404, 200]);
  for (const answer of answers) {
    await answer.text();
    expect(answer.headers.get("access-control-allow-origin")).toBe(allowed);
    const exposed = answer.headers.get("access-control-expose-headers") ?? "";
    for (const name of ["x-request-id", "retry-after", "x-should-retry"]) expect(exposed).toContain(name);
  }
});

test("A-COR-02 another origin, or any when none is configured, is not allowed", async () => {
  for (const origins of [[], ["https://other.example.com"]]) {
    const { gateway } = await start(origins);
    const response = await gateway.chat({}, { headers: { origin } });
    expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([200, null]);
  }
});

import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { InternalServerError } from "openai";
import { expect, onTestFinished, test } from "vitest";
import { clientKey, messages, parseRaw, sendRaw, startPair, upstreamKey, type PairOptions } from "../support/gateway.ts";
import { validateError, validateStream } from "../support/stream-validator.ts";
import { chunkStream, completionJson, errorJson, json, sse, stall, type Scripts } from "../support/upstream.ts";

const start = (scripts: Scripts = {}, options: Omit<PairOptions, "onFinished"> = {}) =>
  startPair({ a: json(200, completionJson("4")), ...scripts }, { onFinished: onTestFinished, ...options });

const sha = (text: string) => createHash("sha256").update(text).digest("hex");

test("A-HTTP-01 a stream is served whatever `accept` says", async () => {
  const { gateway } = await start({ s: sse(chunkStream(["2+2", " is 4"])) });
  const response = await gateway.chat({ model: "up/s", stream: true }, { headers: { accept: "application/json" } });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  expect(validateStream(await response.text(), { usage: false })).toEqual([]);
});

test("every request has its line in the log: what is refused before a route, and what asks no model", async () => {
  const { gateway } = await start();
  const long = `/v1/${"x".repeat(5000)}`;
  const asked = [
    await fetch(`${gateway.url}/models?key=${upstreamKey}`, { headers: { authorization: `Bearer ${upstreamKey}` } }),
    await fetch(`${gateway.url}/models`),
    await gateway.get("/v1/models?page=1"),
    await gateway.get("/v1/models/nobody"),
    await gateway.get(long),
    await gateway.get("/v1/models/%zz"),
    await gateway.get("/v1/chat/completions", { method: "DELETE" }),
    await gateway.get("/v1/chat/completions", { method: "POST", body: "x", headers: { "content-type": "text/plain" } }),
    await gateway.get("/health"),
    await gateway.get("/ready"),
  ];
  for (const answer of asked) await answer.text();
  const ids = asked.slice(0, 8).map(({ headers }) => headers.get("x-request-id"));
  const line = { msg: "request", level: "info" };
  const mine = { ...line, key: "team-a", ms: expect.any(Number) as unknown };
  expect(gateway.accessLogs).toMatchObject([
    { ...line, method: "GET", path: "/v1/models", status: 401, error: "unauthenticated" },
    { ...line, method: "GET", path: "/v1/models", status: 401, error: "unauthenticated" },
    { ...mine, method: "GET", path: "/v1/models", status: 200 },
    { ...mine, path: "/v1/models/nobody", status: 404, error: "model_not_found" },
    { ...mine, path: long.slice(0, 200), status: 404, error: "not_found" },
    { ...line, path: "/v1/models/%zz", status: 400, error: "invalid_request" },
    { ...mine, method: "DELETE", path: "/v1/chat/completions", status: 405, error: "method_not_allowed" },
    { ...mine, method: "POST", status: 415, error: "unsupported_media_type" },
  ]);
  expect(gateway.accessLogs.map(({ requestId }) => requestId)).toEqual(ids);
  expect(JSON.stringify(gateway.logs)).not.toContain(upstreamKey);
});

test("A-HTTP-02 HTTP/1.1 without a Host header is 400 with an OpenAI error", async () => {
  const { gateway } = await start();
  const { status, headers, body } = parseRaw(await sendRaw(gateway.port, ["GET /v1/models HTTP/1.1\r\n\r\n"]));
  expect(status).toBe(400);
  expect(validateError(body, headers)).toEqual([]);
  expect(body).toContain("Host");
  const old = parseRaw(await sendRaw(gateway.port, ["GET /health HTTP/1.0\r\n\r\n"]));
  expect(old.status).toBe(200);
});

test("a path that can not be read is told without the framework's words, and has the headers of every answer", async () => {
  const { gateway } = await start();
  const response = await gateway.get("/v1/models/%zz");
  expect(await response.json()).toMatchObject({ error: { message: "The path of this request is not valid.", param: null } });
  expect(response.headers.get("x-chorale-version")).toBe((await gateway.get("/health")).headers.get("x-chorale-version"));
});

test.each([
  ["GET", "/v1/nope", 404],
  ["POST", "/v1/nope", 404],
  ["PUT", "/v1/chat/completions", 405],
  ["GET", "/v1/chat/completions", 405],
  ["DELETE", "/v1/models", 405],
  ["POST", "/v1/chat/completions/chat/completions", 404],
  ["GET", "/v1/models/%zz", 400],
  ["GET", `/v1/chorale/requests/${"x".repeat(600)}`, 400],
])("A-HTTP-02 %s %s is %i with an OpenAI error", async (method, path, status) => {
  const { gateway, upstream } = await start();
  const body = method === "POST" || method === "PUT" ? { body: "{}", headers: { "content-type": "application/json" } } : {};
  const response = await gateway.get(path, { method, ...body });
  const text = await response.text();
  expect(response.status).toBe(status);
  expect(validateError(text, response.headers)).toEqual([]);
  expect(upstream.requests).toHaveLength(0);
});

test("A-HTTP-02 a request that is not HTTP gets an OpenAI error", async () => {
  const { gateway } = await start();
  for (const bytes of ["NONSENSE\r\n\r\n", `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: ${"x".repeat(64 * 1024)}\r\n\r\n`]) {
    const { status, headers, body } = parseRaw(await sendRaw(gateway.port, [bytes]));
    expect([400, 431]).toContain(status);
    expect(validateError(body, headers)).toEqual([]);
  }
});

const chunked = (path: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;

test.each([
  ["a first chunk", "/v1/chat/completions", ["zz\r\n"]],
  ["a later chunk", "/v1/chat/completions", ['5\r\n{"mod\r\n', "qq\r\n"]],
  ["a chunk to another route", "/v1/embeddings", ["zz\r\n"]],
] as const)("A-HTTP-02 %s of no size gets an OpenAI error", async (_, path, chunks) => {
  const { gateway, upstream } = await start();
  const { status, headers, body } = parseRaw(await sendRaw(gateway.port, [chunked(path), ...chunks]));
  expect(status).toBe(400);
  expect(validateError(body, headers)).toEqual([]);
  expect(body).toContain("not valid HTTP");
  expect(upstream.requests).toHaveLength(0);
});

test("garbage behind a request that is being answered is no answer to it", async () => {
  const { gateway, upstream } = await start({ a: stall() });
  const body = JSON.stringify({ model: "up/a", messages });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\n`;
  const answer = await sendRaw(gateway.port, [`${head}content-length: ${body.length}\r\n\r\n${body}NONSENSE\r\n\r\n`]);
  expect(answer).toBe("");
  for (const request of upstream.requests) await request.closed;
});

test("A-HTTP-03 a body with a 6 MB image reaches the upstream whole", async () => {
  const { gateway, upstream } = await start();
  const url = `data:image/png;base64,${randomBytes(4_500_000).toString("base64")}`;
  const content = [{ type: "image_url", image_url: { url } }];
  const response = await gateway.chat({ messages: [{ role: "user", content }] });
  expect(response.status).toBe(200);
  const got = upstream.requests[0]?.json["messages"] as { content: { image_url: { url: string } }[] }[];
  expect(sha(got[0]?.content[0]?.image_url.url ?? "")).toBe(sha(url));
});

test("A-HTTP-04 every answer has its own x-request-id, and the client shows it", async () => {
  const { gateway } = await start({ s: sse(chunkStream(["4"])), bad: json(500, errorJson("boom")) });
  const answers = await Promise.all([
    gateway.chat({}),
    gateway.chat({ model: "up/s", stream: true }),
    gateway.chat({ model: "up/bad" }),
    gateway.chat("{"),
    gateway.get("/v1/nope"),
    gateway.get("/v1/models"),
    gateway.get("/health"),
    fetch(`${gateway.url}/models`),
  ]);
  const ids = answers.map(({ headers }) => headers.get("x-request-id") ?? "");
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 502, 400, 404, 200, 200, 401]);
  expect(ids.every((id) => /^req_[0-9a-f]{32}$/.test(id))).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
  const client = gateway.client();
  const completion = await client.chat.completions.create({ model: "up/a", messages: [...messages] });
  expect(completion._request_id).toMatch(/^req_/);
  const failed = await client.chat.completions.create({ model: "up/bad", messages: [...messages] }).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(InternalServerError);
  expect((failed as InternalServerError).requestID).toMatch(/^req_/);
});

test("A-HTTP-05 HEAD has no body, a trailing slash and a base without /v1 are served", async () => {
  const { gateway } = await start();
  const head = await gateway.get("/v1/models", { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  const init = { method: "POST", body: JSON.stringify({ model: "up/a", messages }), headers: { "content-type": "application/json" } };
  for (const path of ["/v1/chat/completions/", "/v1//chat/completions", "/chat/completions"]) {
    const response = await gateway.get(path, init);
    expect([path, response.status]).toEqual([path, 200]);
    await response.text();
  }
  const hint = await gateway.get("/v1/chat/completions/chat/completions", init);
  expect(await hint.text()).toContain("/v1");
});

test("A-HTTP-05 a body without a content type is JSON, another type is 415", async () => {
  const { gateway } = await start();
  const body = JSON.stringify({ model: "up/a", messages });
  const lines = (type: string) =>
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\n${type}connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  expect(parseRaw(await sendRaw(gateway.port, [lines("")])).status).toBe(200);
  const refused = parseRaw(await sendRaw(gateway.port, [lines("content-type: text/plain\r\n")]));
  expect(refused.status).toBe(415);
  expect(validateError(refused.body, refused.headers)).toEqual([]);
});

test("A-HTTP-05 a compressed body is 415", async () => {
  const { gateway } = await start();
  const body = gzipSync(JSON.stringify({ model: "up/a", messages }));
  const response = await gateway.chat(body, { headers: { "content-encoding": "gzip" } });
  expect(response.status).toBe(415);
  expect(validateError(await response.text(), response.headers)).toEqual([]);
});

test("A-HTTP-06 a chunked body above the limit is 413, reaches nobody, and harms nobody", async () => {
  const { gateway, upstream } = await start({}, { config: { server: { bodyLimitMb: 1 } } });
  const refused = await new Promise<{ status: number; text: string; headers: Record<string, string> }>((resolve, reject) => {
    const request = httpRequest(
      `${gateway.url}/chat/completions`,
      { method: "POST", headers: { authorization: `Bearer ${clientKey}`, "content-type": "application/json" } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString(),
            headers: response.headers as Record<string, string>,
          });
        });
      },
    );
    request.on("error", reject);
    request.write('{"model":"up/a","messages":[{"role":"user","content":"');
    for (let i = 0; i < 20; i += 1) request.write("x".repeat(64 * 1024));
    // Not ended: the answer has to come although the body is not complete.
  });
  expect(refused.status).toBe(413);
  expect(validateError(refused.text, refused.headers)).toEqual([]);
  expect(upstream.requests).toHaveLength(0);
  expect((await gateway.chat({})).status).toBe(200);
});

test("a header can not be injected through a model's name or a header of our own", async () => {
  const { gateway } = await start({ "*": json(200, completionJson("4")) });
  for (const model of ["up/a\r\nx-evil: 1", "up/a\nx", "up/ä", "up/\u0000", "up/\u{1f600}"]) {
    const response = await gateway.chat({ model });
    expect(response.headers.get("x-evil")).toBeNull();
    expect([200, 400, 404]).toContain(response.status);
    await response.text();
  }
});

test("a second stream on a kept-alive connection has its first token at once", async () => {
  const { gateway } = await start({ s: sse(chunkStream(["a", "b", "c"]), { everyMs: 1 }) });
  const body = JSON.stringify({ model: "up/s", messages, stream: true });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${clientKey}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const socket = connect(gateway.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const firstTokens: number[] = [];
  for (let turn = 0; turn < 6; turn += 1) {
    const startMs = performance.now();
    firstTokens.push(
      await new Promise<number>((resolve) => {
        let text = "";
        let first = 0;
        const onData = (chunk: Buffer) => {
          text += chunk.toString("latin1");
          if (first === 0 && text.includes("data: ")) first = performance.now() - startMs;
          if (!text.includes("data: [DONE]") || !text.endsWith("0\r\n\r\n")) return;
          socket.off("data", onData);
          resolve(first);
        };
        socket.on("data", onData);
        socket.write(head + body);
      }),
    );
  }
  // Nagle with delayed acknowledgements would cost 40 ms each time; one slow turn of a busy machine may be.
  expect(firstTokens.slice(1).sort((a, b) => a - b)[2]).toBeLessThan(20);
});

test("x-chorale-hops above 3 is a loop, and what goes upstream counts one more", async () => {
  const { gateway, upstream } = await start();
  const response = await gateway.chat({}, { headers: { "x-chorale-hops": "4" } });
  expect(response.status).toBe(508);
  expect(validateError(await response.text(), response.headers)).toEqual([]);
  expect(upstream.requests).toHaveLength(0);
  await gateway.chat({}, { headers: { "x-chorale-hops": "3" } });
  await gateway.chat({});
  expect(upstream.requests.map(({ headers }) => headers["x-chorale-hops"])).toEqual(["4", "1"]);
});

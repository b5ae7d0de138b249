import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { clientKey, messages, parseRaw, sendRaw, startPair } from "../support/gateway.ts";
import { completionJson, json } from "../support/upstream.ts";

const good = JSON.stringify({ model: "up/a", messages });

interface Way {
  readonly body: string;
  readonly key?: string;
  /** Header lines besides. */
  readonly more?: readonly string[];
}

/** What a client sends, in the spelling that goes straight to the route or in one that the framework takes. */
function bytesOf({ body, key = clientKey, more = [] }: Way, type: string): string {
  const head = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", `authorization: Bearer ${key}`, `content-type: ${type}`, ...more];
  return `${head.join("\r\n")}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;
}

/** Without what differs from request to request. */
function comparable(raw: string): unknown {
  const { status, headers, body } = parseRaw(raw);
  const kept = Object.entries(headers).filter(([name]) => !["date", "x-request-id", "server-timing"].includes(name));
  return { status, headers: kept, body: body.replaceAll(/chatcmpl-\w+|"created":\d+/g, "") };
}

test.each<[string, Way, number]>([
  ["a good request", { body: good }, 200],
  ["one whose client waits to be told to go on", { body: good, more: ["expect: 100-continue"] }, 200],
  ["one without a body", { body: "" }, 400],
  ["one that is no JSON", { body: "{" }, 400],
  ["one that is too large", { body: good + " ".repeat(1024 * 1024) }, 413],
  ["one with a wrong key", { body: good, key: "sk-wrong-key-of-nobody" }, 401],
  ["one for a model that is not there", { body: good.replace("up/a", "up/nobody") }, 404],
  ["one that has gone in a circle", { body: good, more: ["x-chorale-hops: 9"] }, 508],
  ["one with an encoding", { body: good, more: ["content-encoding: gzip"] }, 415],
])("both ways in answer alike: %s", async (_, way, status) => {
  const { gateway } = await startPair(
    { a: json(200, completionJson("4")) },
    { onFinished: onTestFinished, config: { server: { bodyLimitMb: 1 } } },
  );
  const straight = await sendRaw(gateway.port, [bytesOf(way, "application/json")]);
  const framework = await sendRaw(gateway.port, [bytesOf(way, "application/json; charset=utf-8")]);
  const last = (raw: string) => raw.slice(raw.lastIndexOf("HTTP/1.1 "));
  expect(comparable(last(straight))).toEqual(comparable(last(framework)));
  expect(comparable(last(straight))).toMatchObject({ status });
  const lines = gateway.logs.filter(({ msg }) => msg === "request");
  expect(lines.map((line) => line["status"])).toEqual([status, status]);
});

test("a client that leaves in the middle of its body leaves one line, and the gateway goes on", async () => {
  const { gateway } = await startPair({ a: json(200, completionJson("4")) }, { onFinished: onTestFinished });
  const half = bytesOf({ body: good }, "application/json").slice(0, -20);
  const socket = connect(gateway.port, "127.0.0.1").on("error", () => {});
  socket.write(half, () => socket.resetAndDestroy());
  await expect.poll(() => gateway.accessLogs).toMatchObject([{ status: 400, error: "invalid_request" }]);
  expect((await gateway.chat({ model: "up/a", messages })).status).toBe(200);
  expect(gateway.accessLogs).toHaveLength(1);
});

import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startUpstream, stall } from "../support/upstream.ts";
import { provider, say, startGateway, once } from "./kit.ts";
test("TEMP silent socket", { timeout: 60_000 }, async () => {
  const upstream = await startUpstream({ a: say("42") }, onTestFinished);
  const gateway = await startGateway({ providers: { up: provider(upstream) }, server: { drainMs: 300 } });
  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  await new Promise((r) => socket.once("connect", r));
  const t = performance.now();
  socket.on("error", () => {});
  await Promise.race([gateway.close(), new Promise((r) => setTimeout(r, 20_000))]);
  console.log("silent", performance.now() - t);
  socket.destroy();
});
test("TEMP half body", { timeout: 60_000 }, async () => {
  const upstream = await startUpstream({ a: say("42") }, onTestFinished);
  const gateway = await startGateway({ providers: { up: provider(upstream) }, server: { drainMs: 300 } });
  const socket = connect(Number(new URL(gateway.url).port), "127.0.0.1");
  await new Promise((r) => socket.once("connect", r));
  socket.write("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\ncontent-type: application/json\r\n\r\n{");
  await fetch(`${gateway.url}/health`);
  const t = performance.now();
  socket.on("error", () => {});
  await Promise.race([gateway.close(), new Promise((r) => setTimeout(r, 20_000))]);
  console.log("half body", performance.now() - t);
  socket.destroy();
});

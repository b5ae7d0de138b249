import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { parseHistory } from "../../src/model/history.ts";
import { chunkStream, completionJson, json, sse, startUpstream } from "../support/upstream.ts";
import { provider, serve, SLOW, writeConfig, type Server } from "./kit.ts";

vi.setConfig({ testTimeout: SLOW });

const record = { path: "history.jsonl", content: true };
const memory = { store: { kind: "memory" } };
const slow = sse(chunkStream(["4"]).slice(0, 2), { ending: "stall" });

function historyOf({ folder }: Server) {
  return parseHistory(readFileSync(join(folder, record.path), "utf8"));
}

/** Reads a stream up to its first text, and holds it. */
async function begun(response: Response): Promise<unknown> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes('"content":"4"')) text += (await reader.read()).value ?? "";
  onTestFinished(() => reader.cancel().catch(() => {}));
  return reader;
}

test("nothing is lost at SIGTERM, and a stream that outlasts the drain is recorded as cut", async () => {
  const upstream = await startUpstream({ a: json(200, completionJson("42")), slow }, onTestFinished);
  const gateway = await serve({ ...memory, record, server: { drainMs: 100 }, providers: { up: provider(upstream.url) } });
  await begun(await gateway.ask({ model: "up/slow", stream: true }));
  const asked = 40;
  await Promise.all(Array.from({ length: asked }, async () => (await gateway.ask({ model: "up/a" })).text()));
  gateway.kill("SIGTERM");
  expect(await gateway.exited).toMatchObject({ code: 0 });
  const { legs, requests, skipped } = historyOf(gateway);
  expect([legs.length, requests.length, skipped]).toEqual([asked + 1, asked + 1, 0]);
  expect(legs.filter(({ upstream }) => upstream === "up/slow")).toMatchObject([{ cut: true, error: { code: "shutting_down" } }]);
});

test("nothing that was answered is lost when a second signal ends it at once", async () => {
  const upstream = await startUpstream({ a: json(200, completionJson("42")), slow }, onTestFinished);
  const gateway = await serve({ ...memory, record, providers: { up: provider(upstream.url) } });
  await begun(await gateway.ask({ model: "up/slow", stream: true }));
  await (await gateway.ask({ model: "up/a" })).text();
  await gateway.line(({ msg }) => msg === "request");
  gateway.kill("SIGTERM");
  // It drains: the stream that stalls would hold it for half a minute.
  const health = () =>
    fetch(`${gateway.url}/ready`, { headers: { connection: "close" } }).then(
      ({ status }) => status,
      () => 0,
    );
  await expect.poll(health, { timeout: SLOW / 2 }).not.toBe(200);
  gateway.kill("SIGTERM");
  expect(await gateway.exited).toMatchObject({ code: 1 });
  expect(historyOf(gateway).requests.filter(({ model }) => model === "up/a")).toMatchObject([{ status: 200 }]);
});

test("goes on over a reload, and a setting of its own needs a restart", async () => {
  const upstream = await startUpstream({ a: json(200, completionJson("42")) }, onTestFinished);
  const config = { ...memory, providers: { up: provider(upstream.url) } };
  const gateway = await serve({ ...config, record });
  writeConfig(gateway.folder, {
    ...config,
    record: { ...record, path: "other.jsonl" },
    models: { young: { kind: "retry", model: "up/a" } },
  });
  gateway.kill("SIGHUP");
  await gateway.line(({ msg }) => msg.startsWith("some settings of server, store, record and log.level hold from the start only"));
  await gateway.line(({ msg }) => msg === "the config was read again");
  expect((await gateway.ask({ model: "young" })).status).toBe(200);
  gateway.kill("SIGTERM");
  await gateway.exited;
  expect(historyOf(gateway).requests).toMatchObject([{ model: "young", strategy: "retry", legs: 1 }]);
});

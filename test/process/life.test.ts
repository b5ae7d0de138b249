import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { chunkStream, completionJson, json, sse, stall, startUpstream, type Script } from "../support/upstream.ts";
import { provider, serve, SLOW, writeConfig } from "./kit.ts";

vi.setConfig({ testTimeout: SLOW });
const poll = { timeout: SLOW / 2, interval: 10 };

const memory = { store: { kind: "memory" } };
const say: Script = json(200, completionJson("42"));

/** A stream that waits in its middle until it is let go. */
function gated(): { readonly script: Script; readonly go: () => void } {
  const gate: { go: () => void } = { go: () => {} };
  const opened = new Promise<void>((resolve) => {
    gate.go = resolve;
  });
  const frames = chunkStream(["4", "2"]);
  const script: Script = async (exchange) => {
    await sse(frames.slice(0, 2), { ending: "stall" })(exchange);
    await opened;
    for (const frame of frames.slice(2)) await exchange.write(frame);
    exchange.response.end();
  };
  return { script, go: () => gate.go() };
}

/** Reads a body up to and with `mark`, and gives the way to read the rest. */
async function readTo(response: Response, mark: string): Promise<{ rest(): Promise<string> }> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes(mark)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`ended before ${mark}: ${text}`);
    text += value;
  }
  return {
    async rest() {
      for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value;
      return text;
    },
  };
}

/** Asks over a connection of its own whether the gateway is ready. */
async function readiness(url: string): Promise<readonly [number, unknown]> {
  const response = await fetch(`${url}/ready`, { headers: { connection: "close" } });
  return [response.status, await response.json()];
}

describe("SIGTERM", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("lets a running stream end and takes nothing new (%s)", async (signal) => {
    const { script, go } = gated();
    const upstream = await startUpstream({ slow: script }, onTestFinished);
    const gateway = await serve({ ...memory, providers: { up: provider(upstream.url) } });
    const reading = await readTo(await gateway.ask({ model: "up/slow", stream: true }), '"content":"4"');
    expect(await readiness(gateway.url)).toEqual([200, { status: "ready", inFlight: 1 }]);
    gateway.kill(signal);
    await expect.poll(() => readiness(gateway.url), poll).toEqual([503, { status: "draining", inFlight: 1 }]);
    const refusal = await gateway.ask({ model: "up/slow" });
    expect([refusal.status, refusal.headers.get("connection")]).toEqual([503, "close"]);
    expect(await refusal.json()).toMatchObject({ error: { code: "server_is_shutting_down" } });
    go();
    const text = await reading.rest();
    expect(text).toContain('"finish_reason":"stop"');
    expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
    const { code, err } = await gateway.exited;
    expect([code, err]).toEqual([0, ""]);
    expect(gateway.log.filter(({ msg }) => msg === "request")).toMatchObject([{ status: 503 }, { status: 200, model: "up/slow" }]);
  });

  test("after drainMs ends a stream with an error frame, closes the upstream and exits with 0", async () => {
    const upstream = await startUpstream(
      { slow: sse(chunkStream(["4", "2"]).slice(0, 2), { ending: "stall" }), mute: stall() },
      onTestFinished,
    );
    const gateway = await serve({ ...memory, server: { drainMs: 300 }, providers: { up: provider(upstream.url) } });
    const stream = await readTo(await gateway.ask({ model: "up/slow", stream: true }), '"content":"4"');
    const whole = gateway.ask({ model: "up/mute" });
    await upstream.request(1);
    gateway.kill("SIGTERM");
    const text = await stream.rest();
    expect(text).toContain('"code":"server_is_shutting_down"');
    expect(text).not.toContain("[DONE]");
    expect(text).not.toContain('"finish_reason":"stop"');
    const refusal = await whole;
    expect(refusal.status).toBe(503);
    expect(await refusal.json()).toMatchObject({ error: { code: "server_is_shutting_down" } });
    expect(await gateway.exited).toMatchObject({ code: 0, err: "" });
    await expect.poll(() => upstream.open, poll).toBe(0);
    for (const { closed } of upstream.requests) expect(await closed).toMatchObject({ complete: false });
  });

  test("a second one ends it at once", async () => {
    const upstream = await startUpstream({ slow: sse(chunkStream(["4"]).slice(0, 2), { ending: "stall" }) }, onTestFinished);
    const gateway = await serve({ ...memory, providers: { up: provider(upstream.url) } });
    const stream = await readTo(await gateway.ask({ model: "up/slow", stream: true }), '"content":"4"');
    gateway.kill("SIGTERM");
    await expect.poll(async () => (await readiness(gateway.url))[0], poll).toBe(503);
    gateway.kill("SIGTERM");
    expect(await gateway.exited).toMatchObject({ code: 1 });
    await expect(stream.rest()).rejects.toThrow();
    await expect.poll(() => upstream.open, poll).toBe(0);
  });

  test("is not held up by clients that say nothing, that never finish their request, or that keep a connection", async () => {
    const upstream = await startUpstream({ a: say }, onTestFinished);
    const gateway = await serve({ ...memory, providers: { up: provider(upstream.url) } });
    const port = Number(new URL(gateway.url).port);
    const clients = [
      "",
      "GET /hea",
      "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\ncontent-type: application/json\r\n\r\n{",
    ];
    for (const bytes of clients) {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      onTestFinished(() => void socket.destroy());
      await new Promise<void>((resolve) => {
        if (bytes === "") socket.once("connect", () => resolve());
        else socket.write(bytes, () => resolve());
      });
    }
    await (await gateway.ask({ model: "up/a" })).text();
    const startMs = performance.now();
    gateway.kill("SIGTERM");
    expect(await gateway.exited).toMatchObject({ code: 0 });
    // The drain time is 30 seconds: nobody waited for it.
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });
});

describe("a config that changes", () => {
  const withModels = (models: object, url: string) => ({ ...memory, providers: { up: provider(url) }, models });
  const names = async (url: string) => {
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { readonly data: readonly { readonly id: string }[] };
    return data.map(({ id }) => id);
  };

  test("is read at SIGHUP; a bad one is told and the last good one stays; running streams go on", async () => {
    const { script, go } = gated();
    const upstream = await startUpstream({ a: say, slow: script }, onTestFinished);
    const gateway = await serve(withModels({ old: "up/a" }, upstream.url));
    const stream = await readTo(await gateway.ask({ model: "up/slow", stream: true }), '"content":"4"');
    writeConfig(gateway.folder, withModels({ old: "up/a", young: "up/a" }, upstream.url));
    gateway.kill("SIGHUP");
    await gateway.line(({ msg }) => msg === "the config was read again");
    expect(await names(gateway.url)).toContain("young");
    expect((await gateway.ask({ model: "young" })).status).toBe(200);

    for (const [bad, why] of [
      [{ ...memory, providers: { up: provider(upstream.url) }, models: { a: { kind: "vot" } } }, 'did you mean "vote"?'],
      ["providers: [", "not valid YAML"],
    ] as const) {
      const seen = gateway.log.length;
      writeConfig(gateway.folder, bad);
      gateway.kill("SIGHUP");
      const line = await gateway.line(({ msg }) => msg.startsWith("the config was not taken"), seen);
      expect(line.level).toBe("error");
      expect(line["why"]).toContain(why);
      expect(await names(gateway.url)).toContain("young");
      expect((await gateway.ask({ model: "young" })).status).toBe(200);
    }
    go();
    expect((await stream.rest()).trimEnd().endsWith("data: [DONE]")).toBe(true);
  });

  test("leaves none of its secrets in the log, old ones neither", async () => {
    const upstream = await startUpstream({ a: say }, onTestFinished);
    // Requests name what they ask for, and the log would repeat it.
    const secret = (n: number) => `hidden-${n}-abcdefgh`;
    const config = (n: number) => ({
      ...memory,
      providers: { up: provider(upstream.url, { apiKey: secret(n) }) },
      models: { [`m${n}`]: "up/a" },
      log: { content: true },
    });
    const gateway = await serve(config(0));
    for (const n of [1, 2]) {
      const seen = gateway.log.length;
      writeConfig(gateway.folder, config(n));
      gateway.kill("SIGHUP");
      gateway.kill("SIGHUP");
      await gateway.line(({ msg }) => msg === "the config was read again", seen);
      await expect.poll(() => names(gateway.url), poll).toContain(`m${n}`);
    }
    for (const n of [0, 1, 2]) await (await gateway.ask({ model: "m2", messages: [{ role: "user", content: secret(n) }] })).text();
    gateway.kill("SIGTERM");
    const { out } = await gateway.exited;
    expect(out.match(/\[redacted\]/g)?.length).toBeGreaterThanOrEqual(3);
    expect(out).not.toContain("hidden-");
  });

  test("is read when the file is written, and when it is replaced; one that is gone for a moment is nothing", async () => {
    const upstream = await startUpstream({ a: say }, onTestFinished);
    const gateway = await serve(withModels({ old: "up/a" }, upstream.url));
    writeConfig(gateway.folder, withModels({ old: "up/a", young: "up/a" }, upstream.url));
    await expect.poll(() => names(gateway.url), poll).toContain("young");
    const swap = join(gateway.folder, "next.yaml");
    writeFileSync(swap, JSON.stringify(withModels({ swapped: "up/a" }, upstream.url)));
    renameSync(swap, join(gateway.folder, "chorale.yaml"));
    await expect.poll(() => names(gateway.url), poll).toContain("swapped");
    expect(await names(gateway.url)).not.toContain("young");
  });
});

test("kill -9 loses neither spend nor records", async () => {
  const upstream = await startUpstream({ a: say }, onTestFinished);
  const key = "team-0123456789abcdef";
  const config = {
    keys: [
      { name: "team", key, budget: { usd: 0.05, per: "month" } },
      { name: "other", key: "other-0123456789abcdef" },
    ],
    providers: { up: provider(upstream.url, { prices: { a: { in: 1000, out: 20_000 } } }) },
  };
  const first = await serve(config);
  const answered = await first.ask({ model: "up/a", max_tokens: 1 }, { key });
  expect(answered.status).toBe(200);
  const id = answered.headers.get("x-request-id") ?? "";
  await answered.text();
  expect((await first.ask({ model: "up/a", max_tokens: 1 }, { key })).status).toBe(429);
  // Until it is on disk: the gateway writes twice a second. The database is locked, but its files can be read.
  const data = join(first.folder, "data");
  const onDisk = () => readdirSync(data).some((file) => readFileSync(join(data, file)).includes(id));
  await expect.poll(onDisk, poll).toBe(true);
  first.kill("SIGKILL");
  expect(await first.exited).toMatchObject({ signal: "SIGKILL" });

  const second = await serve(undefined, { folder: first.folder });
  const refused = await second.ask({ model: "up/a", max_tokens: 1 }, { key });
  expect([refused.status, await refused.json()]).toMatchObject([429, { error: { code: "insufficient_quota" } }]);
  expect((await second.ask({ model: "up/a", max_tokens: 1 }, { key: "other-0123456789abcdef" })).status).toBe(200);
  const record = await fetch(`${second.url}/v1/chorale/requests/${id}`, { headers: { authorization: `Bearer ${key}` } });
  expect([record.status, await record.json()]).toMatchObject([
    200,
    { costUsd: expect.closeTo(0.067), members: [{ model: "up/a", status: "ok" }] },
  ]);
});

test("a gateway that is its own upstream says so after a few hops, and lives", async () => {
  const gateway = await serve(memory);
  const me = { kind: "openai", baseUrl: `${gateway.url}/v1` };
  // Every pass could ask twice, and each of those again.
  const models = { chain: "me/chain", exam: { kind: "vote", members: ["me/exam", "me/exam"], stop: "none" } };
  writeConfig(gateway.folder, { ...memory, providers: { me }, models });
  gateway.kill("SIGHUP");
  await gateway.line(({ msg }) => msg === "the config was read again");
  for (const model of ["chain", "exam"]) {
    const before = gateway.log.length;
    // A refusal with 508 could be taken for a passing failure of the upstream, and retried.
    expect((await gateway.ask({ model })).status).toBe(508);
    expect(gateway.log.slice(before).filter(({ msg }) => msg === "request").length).toBeLessThan(40);
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
  }
});

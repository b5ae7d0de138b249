/** What a gateway records, and what it plays of it, over real sockets. */
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { legKey, parseHistory, requestKey } from "../../src/model/history.ts";
import { clientKey, messages, startPair, upstreamKey, type Gateway } from "../support/gateway.ts";
import { toldBy } from "../support/told.ts";
import {
  after,
  chunkStream,
  completionJson,
  cut,
  errorJson,
  json,
  reset,
  sse,
  stall,
  type Script,
  type Scripts,
} from "../support/upstream.ts";

const say = (text: string): Script => json(200, completionJson(text));
const busy = json(429, errorJson("Too many."), { "retry-after-ms": "5" });
const broken = json(500, errorJson("Oh no."));

function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-record-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "history.jsonl");
}

const exam = { kind: "vote", members: ["up/a", "up/b", "up/c"], stop: "none" };
const scripts: Scripts = { a: say("It is Paris."), b: say("It is Paris."), c: say("It is Lyon.") };

interface Recording {
  readonly content?: boolean;
  readonly scripts?: Scripts;
  readonly models?: object;
  readonly provider?: Readonly<Record<string, unknown>>;
}

/** Runs a gateway that records; what `use` did is in the file when this resolves. */
async function record(given: Recording, use: (gateway: Gateway) => Promise<void>) {
  const path = newPath();
  const { gateway, upstream } = await startPair(given.scripts ?? scripts, {
    onFinished: onTestFinished,
    provider: { prices: { a: { in: 1, out: 2 } }, ...given.provider },
    config: { models: given.models ?? { exam }, record: { path, content: given.content ?? true } },
  });
  await use(gateway);
  await gateway.close();
  const text = readFileSync(path, "utf8");
  return { path, text, upstream, logs: gateway.logs, ...parseHistory(text) };
}

async function ask(gateway: Gateway, body: Readonly<Record<string, unknown>>): Promise<string> {
  return (await gateway.chat(body)).text();
}

test("nothing is recorded unless the config asks for it", async () => {
  const path = newPath();
  const { gateway } = await startPair(scripts, { onFinished: onTestFinished, config: { models: { exam } } });
  await ask(gateway, { model: "exam" });
  await gateway.close();
  expect(existsSync(path)).toBe(false);
});

describe("a request", () => {
  test("is one line for each leg and one for itself, with who did what and what it cost", async () => {
    const body = { model: "exam", messages };
    const { legs, requests } = await record({}, async (gateway) => void (await ask(gateway, body)));
    expect(legs).toHaveLength(3);
    const [first] = legs;
    expect(first).toEqual({
      v: 1,
      type: "leg",
      requestId: requests[0]?.requestId,
      at: expect.any(Number),
      upstream: "up/a",
      key: legKey(body),
      node: "exam",
      path: ["exam", "up/a"],
      label: "up/a",
      order: 0,
      delivery: "unary",
      status: "ok",
      usage: { promptTokens: 7, completionTokens: 3 },
      usd: 0.000013,
      startMs: expect.any(Number),
      firstMs: expect.any(Number),
      ms: expect.any(Number),
      seq: { start: 1, end: expect.any(Number) },
      finishReason: "stop",
      capabilities: expect.any(Object),
      asked: expect.objectContaining(body),
      answer: {
        model: expect.any(String),
        choices: [
          expect.objectContaining({ index: 0, message: expect.objectContaining({ content: "It is Paris." }), finishReason: "stop" }),
        ],
      },
    });
    expect(legs.map(({ upstream, order, usd }) => [upstream, order, usd])).toEqual([
      ["up/a", 0, 0.000013],
      ["up/b", 1, undefined],
      ["up/c", 2, undefined],
    ]);
    const [request] = requests;
    expect(request).toMatchObject({
      v: 1,
      type: "request",
      principal: "team-a",
      model: "exam",
      strategy: "vote",
      key: requestKey(body),
      draws: expect.any(Number),
      status: 200,
      stream: false,
      legs: 3,
      usage: { promptTokens: 21, completionTokens: 9 },
      usd: 0.000013,
      coverage: 1 / 3,
      degraded: [],
      asked: body,
      answer: { choices: [{ message: { content: "It is Paris." } }] },
      trace: { label: "exam", node: "exam", kind: "vote", status: "ok", decision: { agreement: 2 / 3, winner: "up/a" } },
    });
    expect(Math.abs((request?.at ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  test("that a model answers by itself has no node", async () => {
    const { legs, requests } = await record({}, async (gateway) => void (await ask(gateway, { model: "up/a" })));
    expect(legs).toMatchObject([{ path: ["up/a"], label: "up/a", upstream: "up/a" }]);
    expect(legs[0]).not.toHaveProperty("node");
    expect(requests).toMatchObject([{ model: "up/a", strategy: "leaf", legs: 1 }]);
  });

  test("that was refused at the door is not recorded: nobody was asked", async () => {
    const { legs, requests } = await record({}, async (gateway) => void (await ask(gateway, { model: "nobody" })));
    expect([legs, requests]).toEqual([[], []]);
  });

  test("that fails is recorded with its code, each attempt too", async () => {
    const retry = { attempts: 2, baseMs: 1 };
    const { legs, requests } = await record({ scripts: { a: [busy, broken] }, provider: { retry } }, async (gateway) => {
      await ask(gateway, { model: "up/a" });
    });
    expect(legs).toMatchObject([
      { order: 0, status: "failed", label: "up/a", usd: 0, error: { code: "upstream_rate_limited", upstreamStatus: 429, retryAfterMs: 5 } },
      { order: 1, status: "failed", label: "up/a", usd: 0, error: { code: "upstream_error", upstreamStatus: 500 } },
    ]);
    expect(requests).toMatchObject([{ status: 502, error: "upstream_error", legs: 2 }]);
  });

  test("that is streamed keeps each read with its time, and its first token", async () => {
    const frames = chunkStream(["It ", "is ", "Paris."]);
    const { legs, requests } = await record({ scripts: { a: sse(frames, { everyMs: 5 }) } }, async (gateway) => {
      await ask(gateway, { model: "up/a", stream: true });
    });
    const [leg] = legs;
    const read = leg?.chunks?.flatMap(([, deltas]) => deltas).flatMap((delta) => (delta.type === "text" ? delta.text : []));
    expect(read?.join("")).toBe("It is Paris.");
    const times = leg?.chunks?.map(([ms]) => ms) ?? [];
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(leg).toMatchObject({ delivery: "stream", status: "ok", finishReason: "stop", seq: { start: 1, first: 2, end: 3 } });
    expect(requests).toMatchObject([{ stream: true, status: 200 }]);
  });

  test("keeps tool calls and log-probabilities", async () => {
    const tool = { id: "call_1", type: "function", function: { name: "f", arguments: "{}" } };
    const logprobs = { content: [{ token: "x", logprob: -0.5, bytes: [120], top_logprobs: [] }], refusal: null };
    const whole = completionJson(null, { message: { tool_calls: [tool] }, choice: { finish_reason: "tool_calls", logprobs } });
    const { legs } = await record({ scripts: { a: json(200, whole) } }, async (gateway) => void (await ask(gateway, { model: "up/a" })));
    expect(legs[0]?.answer?.choices).toMatchObject([{ message: { tool_calls: [tool] }, finishReason: "tool_calls", logprobs }]);
  });

  test("whose client leaves is recorded with the leg that was cut", async () => {
    const { legs, requests } = await record(
      { scripts: { a: sse(chunkStream(["Hel", "lo"]).slice(0, 2), { ending: "stall" }) } },
      async (gateway) => {
        const controller = new AbortController();
        const response = await gateway.chat({ model: "up/a", stream: true }, { signal: controller.signal });
        const reader = response.body?.getReader();
        await reader?.read();
        controller.abort();
        await expect.poll(() => gateway.requestLogs.length).toBe(1);
      },
    );
    expect(legs).toMatchObject([{ status: "lost", cut: true, error: { code: "client_closed" }, estimated: true }]);
    expect(requests).toMatchObject([{ status: 499, error: "client_closed" }]);
  });
});

describe("nothing secret", () => {
  test("keys and addresses are nowhere, not even where somebody said them", async () => {
    const { text, upstream } = await record(
      { scripts: { a: say(`Your key is ${upstreamKey}.`), b: reset(), c: broken } },
      async (gateway) => {
        await ask(gateway, { model: "exam", messages: [{ role: "user", content: `Is ${clientKey} a good key?` }] });
      },
    );
    expect(text).toContain("[redacted]");
    for (const secret of [upstreamKey, clientKey, "127.0.0.1", new URL(upstream.url).port])
      expect(text.includes(secret), secret).toBe(false);
  });

  test("without content no text of a message or an answer is there, and what was decided is", async () => {
    const question = { model: "exam", messages: [{ role: "user", content: "Which zebra is the capital?" }] };
    const { text, legs, requests } = await record({ content: false }, async (gateway) => void (await ask(gateway, question)));
    for (const said of ["zebra", "capital", "Paris", "Lyon", "paris", "lyon"]) expect(text.includes(said), said).toBe(false);
    for (const field of ["asked", "answer", "chunks"]) expect(text.includes(`"${field}"`), field).toBe(false);
    expect(legs.map(({ status, key }) => [status, key])).toEqual(["a", "b", "c"].map(() => ["ok", legKey(question)]));
    expect(requests[0]?.trace?.decision).toEqual({ votes: { "text 1": 2, "text 2": 1 }, agreement: 2 / 3, by: "votes", winner: "up/a" });
  });

  test("without content an error is told by its code alone", async () => {
    const { text, legs } = await record({ content: false, scripts: { a: json(400, errorJson("You said zebra.")) } }, async (gateway) => {
      await ask(gateway, { model: "up/a" });
    });
    expect(text).not.toContain("zebra");
    expect(legs[0]?.error).toEqual({ code: expect.any(String), upstreamStatus: 400 });
  });
});

test("a full disk fails no request and is told once", async () => {
  const path = newPath();
  symlinkSync("/dev/full", path);
  const { gateway } = await startPair(scripts, { onFinished: onTestFinished, config: { models: { exam }, record: { path } } });
  const told = () => gateway.logs.filter(({ msg }) => msg === "the history could not be written; requests go on");
  for (let n = 0; n < 3; n += 1) {
    expect((await gateway.chat({ model: "exam" })).status).toBe(200);
    await expect.poll(told).toHaveLength(1);
  }
  await gateway.close();
  expect(told()).toMatchObject([{ level: "error", why: "ENOSPC", lost: 4 }]);
});

test("a place that can not be written fails the start", async () => {
  const start = startPair(scripts, { onFinished: onTestFinished, config: { record: { path: "/dev/null/deep/history.jsonl" } } });
  await expect(start).rejects.toThrow(/record\.path: .*ENOTDIR/);
});

describe("a recording of trouble is the same trouble again", () => {
  const chain = { kind: "fallback", members: ["up/a", "up/b"] };
  const retry = { attempts: 3, baseMs: 1 };
  const cases: Readonly<Record<string, Recording & { readonly body: Readonly<Record<string, unknown>> }>> = {
    "an attempt that failed": { scripts: { a: [busy, broken, say("third")] }, provider: { retry }, body: { model: "up/a" } },
    "a fallback": { scripts: { a: broken, b: say("second") }, models: { chain }, body: { model: "chain" } },
    "all that failed": { scripts: { a: broken, b: busy }, models: { chain }, body: { model: "chain" } },
    "a stream that broke": { scripts: { a: cut(chunkStream(["Hel", "lo"]), 2) }, body: { model: "up/a", stream: true } },
    "a stream that broke before its first token": {
      scripts: { a: cut(chunkStream(["Hello"]), 1), b: sse(chunkStream(["rescued"])) },
      models: { chain },
      body: { model: "chain", stream: true },
    },
    "a refusal with the upstream's own words": {
      scripts: { a: json(400, errorJson("'top_p' is too high.", { param: "top_p", code: "invalid_value" })) },
      body: { model: "up/a" },
    },
    "a timeout": {
      scripts: { a: stall(), b: say("quick") },
      models: { chain: { ...chain, members: [{ model: "up/a", timeouts: { firstTokenMs: 60 } }, "up/b"] } },
      body: { model: "chain" },
    },
    "a deadline of a panel": {
      scripts: { a: say("42"), b: say("42"), c: stall() },
      models: { exam: { ...exam, quorum: { min: 2, deadlineMs: 80 } } },
      body: { model: "exam" },
    },
    "a budget of time": {
      scripts: { a: stall(), b: say("in time") },
      models: { chain: { ...chain, members: [{ kind: "retry", model: "up/a", budget: { ms: 60 } }, "up/b"] } },
      body: { model: "chain" },
    },
    "a vote that was decided early, by who was quick": {
      scripts: { a: after(40, say("41")), b: say("42"), c: say("42") },
      models: { exam: { ...exam, stop: "unassailable" } },
      body: { model: "exam" },
    },
    "several choices": {
      scripts: { a: [say("1"), say("2"), say("3")] },
      models: { exam: { kind: "vote", model: "up/a", samples: 3 } },
      body: { model: "exam" },
    },
  };

  test.each(Object.entries(cases))("%s", async (_, { body, ...given }) => {
    const full = { chorale: { expose: "full" }, ...body };
    let seen: unknown;
    const { path } = await record(given, async (gateway) => {
      seen = await toldBy(await gateway.chat(full));
    });
    for (const timing of ["recorded", "none"]) {
      const { gateway } = await startPair(
        {},
        {
          onFinished: onTestFinished,
          config: {
            models: given.models ?? { exam },
            providers: { up: { kind: "replay", path, timing, models: "*", retry: given.provider?.["retry"] ?? { attempts: 1 } } },
          },
        },
      );
      expect(await toldBy(await gateway.chat(full)), timing).toEqual(seen);
    }
  });
});

test("a recording is played at its own pace", async () => {
  const { path, legs } = await record(
    { scripts: { a: after(120, say("slow")) } },
    async (gateway) => void (await ask(gateway, { model: "up/a" })),
  );
  expect(legs[0]?.ms).toBeGreaterThan(100);
  const play = async (timing: string) => {
    const { gateway } = await startPair(
      {},
      { onFinished: onTestFinished, config: { providers: { up: { kind: "replay", path, timing } } } },
    );
    const startMs = performance.now();
    await ask(gateway, { model: "up/a" });
    return performance.now() - startMs;
  };
  expect(await play("recorded")).toBeGreaterThan(100);
  expect(await play("none")).toBeLessThan(100);
});

import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import {
  answer,
  chunkStream,
  cut,
  errorJson,
  frame,
  hangUp,
  html,
  json,
  raw,
  refusedUrl,
  reset,
  sse,
  stall,
  startUpstream,
  type Script,
} from "../support/upstream.ts";
import { expectBooked, expectClosed, expectHonest, once, provider, say, startGateway } from "./kit.ts";

/** Where nothing hangs nothing is too late, however busy the machine is. */
const patient = { connectMs: 10_000, firstTokenMs: 10_000, idleMs: 10_000, totalMs: 20_000 };
const hangs = { early: { ...patient, firstTokenMs: 40, idleMs: 40 }, late: { ...patient, idleMs: 40 } };
const frames = chunkStream(["4", "2"]);
const marker = "secret-marker";

interface Fault {
  readonly status: number;
  /** A regular expression. */
  readonly code: string;
  readonly timeouts?: object;
  /** What the leg did when the client asked for a whole answer, and when for a stream. */
  readonly whole: Script;
  readonly stream?: Script;
  /** The stream was cut after text had been shown, so that nobody could take over. */
  readonly afterCommit?: true;
}

const type = { "content-type": "application/json" };
const half = '{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assi';

const faults: Readonly<Record<string, Fault>> = {
  "hangs before the head": { status: 504, code: "upstream_timeout", timeouts: hangs.early, whole: stall() },
  "hangs after the head": {
    status: 504,
    code: "upstream_timeout",
    timeouts: hangs.early,
    whole: answer({ headers: type, writes: [half], ending: "stall" }),
    stream: stall({ after: "head" }),
  },
  "hangs after a role": {
    status: 504,
    code: "upstream_timeout",
    timeouts: hangs.early,
    whole: answer({ headers: type, writes: [half], ending: "stall" }),
    stream: sse(frames.slice(0, 1), { ending: "stall" }),
  },
  "hangs after text": {
    status: 504,
    code: "upstream_timeout",
    timeouts: hangs.late,
    whole: answer({ headers: type, writes: [half], ending: "stall" }),
    stream: sse(frames.slice(0, 2), { ending: "stall" }),
    afterCommit: true,
  },
  "sends comments for ever": {
    status: 504,
    code: "upstream_timeout",
    timeouts: hangs.early,
    whole: stall(),
    stream: sse(
      Array.from({ length: 400 }, () => ": at work\n\n"),
      { everyMs: 20, ending: "stall" },
    ),
  },
  resets: { status: 502, code: "upstream_unreachable", whole: reset() },
  "hangs up": { status: 502, code: "upstream_unreachable", whole: hangUp() },
  "sends no HTTP": { status: 502, code: "upstream_protocol", whole: raw("secret-marker is not HTTP\r\n\r\n") },
  "sends HTML with 200": { status: 502, code: "upstream_protocol", whole: html(200, `<html>${marker} nginx</html>`) },
  "sends HTML with 502": { status: 502, code: "upstream_error", whole: html(502, `<html>${marker} nginx</html>`) },
  "sends garbage": { status: 502, code: "upstream_protocol", whole: json(200, `${marker} oops`), stream: json(200, `${marker} oops`) },
  "sends garbage frames": {
    status: 502,
    code: "upstream_protocol",
    whole: json(200, "]"),
    stream: sse([`data: {"choices": ${marker}\n\n`, frame("[DONE]")]),
  },
  "sends half a JSON": { status: 502, code: "upstream_protocol", whole: json(200, half) },
  "is cut in its JSON": {
    status: 502,
    code: "upstream_unreachable",
    whole: answer({ headers: { ...type, "content-length": "9999" }, writes: [half], ending: "cut" }),
  },
  "sends nothing": { status: 502, code: "upstream_protocol", whole: json(200, "") },
  "sends an empty stream": {
    status: 502,
    code: "upstream_unreachable",
    whole: answer({ headers: type, writes: [half], ending: "cut" }),
    stream: sse([]),
  },
  "sends only [DONE]": { status: 502, code: "upstream_protocol", whole: json(200, "{}"), stream: sse([frame("[DONE]")]) },
  "sends an error with 200": {
    status: 502,
    code: "upstream_error",
    whole: json(200, errorJson("out of memory", { type: "server_error" })),
    stream: sse([frame(errorJson("out of memory", { type: "server_error" }))]),
  },
  "is cut before text": {
    status: 502,
    code: "upstream_unreachable",
    whole: answer({ headers: type, writes: [half], ending: "cut" }),
    stream: cut(frames, 1),
  },
  "is cut after text": {
    status: 502,
    code: "upstream_unreachable",
    whole: answer({ headers: type, writes: [half], ending: "cut" }),
    stream: cut(frames, 2),
    afterCommit: true,
  },
  "ends after text": {
    status: 502,
    code: "upstream_unreachable",
    whole: answer({ headers: type, writes: [half], ending: "cut" }),
    stream: sse(frames.slice(0, 2)),
    afterCommit: true,
  },
  "is reset after text": {
    status: 502,
    code: "upstream_unreachable",
    whole: answer({ headers: type, writes: [half], ending: "reset" }),
    stream: sse(frames.slice(0, 2), { ending: "reset" }),
    afterCommit: true,
  },
  "fails after text": {
    status: 502,
    code: "upstream_error",
    whole: json(500, errorJson("broke")),
    stream: sse([...frames.slice(0, 2), 30, frame(errorJson("broke", { type: "server_error" }))]),
    afterCommit: true,
  },
  "says 401": { status: 502, code: "upstream_auth", whole: json(401, errorJson(`Incorrect API key: ${marker}`)) },
  "says 404": { status: 404, code: "upstream_model_not_found", whole: json(404, errorJson("no such model")) },
  "says 429": { status: 429, code: "upstream_rate_limited", whole: json(429, errorJson("slow down"), { "retry-after": "7" }) },
  "says 500": { status: 502, code: "upstream_error", whole: json(500, errorJson("broke")) },
  "says 503": { status: 503, code: "upstream_overloaded", whole: json(503, errorJson("busy"), { "retry-after": "3" }) },
  "says 529": { status: 503, code: "upstream_overloaded", whole: json(529, errorJson("busy")) },
};

const both = (fault: Fault): Script =>
  once((exchange) => (exchange.request.json["stream"] === true ? (fault.stream ?? fault.whole) : fault.whole)(exchange));

const cases = Object.entries(faults).flatMap(([name, fault]) => [
  { name: `${name}, whole`, fault, stream: false },
  { name: `${name}, streamed`, fault, stream: true },
]);

async function build(fault: Fault) {
  const upstream = await startUpstream({ bad: both(fault), good: say("42"), sure: say("42", { logprob: true }) }, afterAll);
  const members = (...names: readonly string[]) => names.map((name) => (name === "bad" ? "bad/bad" : `up/${name}`));
  const gateway = await startGateway(
    {
      providers: { up: provider(upstream, { timeouts: patient }), bad: provider(upstream, { timeouts: fault.timeouts ?? patient }) },
      models: {
        chain: { kind: "fallback", members: members("bad", "good") },
        held: { kind: "fallback", members: members("bad", "good"), hold: "whole" },
        exam: { kind: "vote", members: members("bad", "good", "good"), answer: "number", stop: "none" },
        doomed: { kind: "vote", members: members("bad", "bad", "bad"), answer: "number", stop: "none" },
        hopeless: { kind: "fallback", members: members("bad", "bad") },
        merged: { kind: "fuse", members: members("bad", "good", "good"), writer: "up/good" },
        unwritten: { kind: "fuse", members: members("good", "good"), writer: "bad/bad" },
        climbed: { kind: "cascade", steps: [{ model: "bad/bad", accept: { by: "logprob", min: -9 } }, { model: "up/good" }] },
        fallen: { kind: "cascade", steps: [{ model: "up/good", accept: { by: "logprob", min: -0.001 } }, { model: "bad/bad" }] },
        bounded: { kind: "timeout", model: "bad/bad", timeouts: { totalMs: 5000 } },
      },
    },
    afterAll,
  );
  return { upstream, gateway };
}

const built = new Map<Fault, ReturnType<typeof build>>();

/** One gateway for all tests of a fault: nothing that happened in one may change another. */
function setUp(fault: Fault): ReturnType<typeof build> {
  const standing = built.get(fault) ?? build(fault);
  built.set(fault, standing);
  return standing;
}

describe("alone, an upstream that", () => {
  test.each(cases)("$name is told as what it is", async ({ fault, stream }) => {
    const { upstream, gateway } = await setUp(fault);
    for (const model of ["bad/bad", "bounded"]) {
      const seen = upstream.requests.length;
      const answered = await gateway.ask({ model, stream });
      expectHonest(answered, [upstream]);
      expect(answered.error, answered.raw).toBeDefined();
      expect(answered.status, answered.raw).toBe(stream && fault.afterCommit ? 200 : fault.status);
      const kept = await gateway.kept(answered);
      expect(kept.members).toMatchObject([
        { model: "bad/bad", status: "failed", error: { code: expect.stringMatching(`^${fault.code}$`) } },
      ]);
      expectBooked(kept, upstream.requests.length - seen);
    }
    await expectClosed(upstream);
  });
});

describe("in a fallback, after an upstream that", () => {
  test.each(cases)("$name the next one answers, or nobody pretends", async ({ fault, stream }) => {
    const { upstream, gateway } = await setUp(fault);
    const answered = await gateway.ask({ model: "chain", stream });
    expectHonest(answered, [upstream]);
    const kept = await gateway.kept(answered);
    if (stream && fault.afterCommit) {
      expect(answered.error).toBeDefined();
      expectBooked(kept, 1);
    } else {
      expect([answered.status, answered.text]).toEqual([200, "42"]);
      expect(kept.members).toMatchObject([
        { status: "failed", error: { code: expect.stringMatching(`^${fault.code}$`) } },
        { status: "ok", model: "up/good" },
      ]);
      expectBooked(kept, 2);
    }
    const held = await gateway.ask({ model: "held", stream });
    expectHonest(held, [upstream]);
    expect([held.status, held.text]).toEqual([200, "42"]);
    await expectClosed(upstream);
  });
});

describe("in panels, beside an upstream that", () => {
  test.each(cases)("$name the others answer", async ({ fault, stream }) => {
    const { upstream, gateway } = await setUp(fault);
    for (const [model, calls] of [
      ["exam", 3],
      ["merged", 4],
    ] as const) {
      const seen = upstream.requests.length;
      const answered = await gateway.ask({ model, stream });
      expectHonest(answered, [upstream]);
      expect([answered.status, answered.text], answered.raw).toEqual([200, "42"]);
      expect(answered.headers.get("x-chorale-degraded")).toBeNull();
      const kept = await gateway.kept(answered);
      expect(upstream.requests.length - seen).toBe(calls);
      expectBooked(kept, calls);
      expect(kept.members[0]).toMatchObject({
        model: "bad/bad",
        status: "failed",
        error: { code: expect.stringMatching(`^${fault.code}$`) },
      });
    }
    await expectClosed(upstream);
  });

  test.each(cases)("$name is the writer, the medoid answers", async ({ fault, stream }) => {
    const { upstream, gateway } = await setUp(fault);
    const answered = await gateway.ask({ model: "unwritten", stream });
    expectHonest(answered, [upstream]);
    const kept = await gateway.kept(answered);
    expectBooked(kept, 3);
    if (stream && fault.afterCommit) expect(answered.error).toBeDefined();
    else {
      expect([answered.status, answered.text]).toEqual([200, "42"]);
      expect(kept.degraded).toHaveLength(1);
      expect(answered.headers.get("x-chorale-degraded")).toContain("writer");
    }
    await expectClosed(upstream);
  });
});

describe("in a cascade, a step that", () => {
  test.each(cases)("$name is climbed over, and the last one is done without", async ({ fault, stream }) => {
    const { upstream, gateway } = await setUp(fault);
    const climbed = await gateway.ask({ model: "climbed", stream });
    expectHonest(climbed, [upstream]);
    expect([climbed.status, climbed.text], climbed.raw).toEqual([200, "42"]);
    expectBooked(await gateway.kept(climbed), 2);
    const fallen = await gateway.ask({ model: "fallen", stream });
    expectHonest(fallen, [upstream]);
    const kept = await gateway.kept(fallen);
    expectBooked(kept, 2);
    if (stream && fault.afterCommit) expect(fallen.error).toBeDefined();
    else {
      expect([fallen.status, fallen.text], fallen.raw).toEqual([200, "42"]);
      expect(kept.degraded).toHaveLength(1);
    }
    await expectClosed(upstream);
  });
});

describe("where every member", () => {
  test.each(cases)("$name the failure has one status and tells each of them", async ({ fault, stream }) => {
    const { upstream, gateway } = await setUp(fault);
    for (const [model, calls] of [
      ["doomed", 3],
      ["hopeless", 2],
    ] as const) {
      if (model === "hopeless" && stream && fault.afterCommit) continue;
      const answered = await gateway.ask({ model, stream });
      expectHonest(answered, [upstream]);
      // A missing model is the operator's mistake where the client did not name it.
      expect(answered.status, answered.raw).toBe(fault.status === 404 ? 502 : fault.status);
      expect(answered.error?.message.match(new RegExp(`bad/bad: ${fault.code}`, "g")), answered.raw).toHaveLength(calls);
      const waits = { "says 429": "7", "says 503": "3" } as const;
      const wait = Object.entries(waits).find(([name]) => faults[name] === fault)?.[1] ?? null;
      expect(answered.headers.get("retry-after")).toBe(wait);
      expect(answered.headers.get("x-should-retry")).toBe(wait === null ? "false" : null);
      expectBooked(await gateway.kept(answered), calls);
    }
    await expectClosed(upstream);
  });
});

test("a finish reason and then the end is a whole answer", async () => {
  const upstream = await startUpstream({ short: once(sse(chunkStream(["4", "2"], { done: false }))) }, onTestFinished);
  const gateway = await startGateway({
    providers: { up: provider(upstream) },
    models: { exam: { kind: "vote", members: ["up/short", "up/short"], quorum: { graceMs: 5000 } } },
  });
  for (const model of ["up/short", "exam"]) {
    const answered = await gateway.ask({ model, stream: true });
    expectHonest(answered, [upstream]);
    expect([answered.text, answered.done]).toEqual(["42", true]);
  }
});

test("a finish reason and then a closed socket is a whole answer", async () => {
  const frames = chunkStream(["4", "2"], { done: false });
  const upstream = await startUpstream({ cut: once(cut(frames, frames.length)) }, onTestFinished);
  const gateway = await startGateway({ providers: { up: provider(upstream) } });
  const answered = await gateway.ask({ model: "up/cut", stream: true });
  expectHonest(answered, [upstream]);
  expect([answered.text, answered.done]).toEqual(["42", true]);
});

test("an upstream that refuses the connection costs nothing and is told without its address", async () => {
  const upstream = await startUpstream({ good: say("42") }, onTestFinished);
  const url = await refusedUrl(onTestFinished);
  const gateway = await startGateway({
    providers: { up: provider(upstream), dead: provider(url) },
    models: {
      chain: { kind: "fallback", members: ["dead/a", "up/good"] },
      doomed: { kind: "vote", members: ["dead/a", "dead/b", "dead/c"] },
    },
  });
  const rescued = await gateway.ask({ model: "chain" });
  expect([rescued.status, rescued.text]).toEqual([200, "42"]);
  expect((await gateway.kept(rescued)).members).toMatchObject([
    { model: "dead/a", status: "failed", usage: { total_tokens: 0 } },
    { model: "up/good", status: "ok" },
  ]);
  const doomed = await gateway.ask({ model: "doomed" });
  expectHonest(doomed, [upstream]);
  expect(doomed.raw).not.toContain(new URL(url).port);
  expect(doomed.status).toBe(502);
  for (const name of ["dead/a", "dead/b", "dead/c"]) expect(doomed.error?.message).toContain(`${name}: upstream_unreachable`);
  const kept = await gateway.kept(doomed);
  expect([kept.costUsd, kept.usage?.total_tokens]).toEqual([0, 0]);
});

test("of several that limit the rate the smallest Retry-After counts; of different failures none hides another", async () => {
  const limited = (seconds: string) => once(json(429, errorJson("slow"), { "retry-after": seconds }));
  const upstream = await startUpstream(
    {
      a: limited("30"),
      b: limited("4"),
      c: limited("9"),
      dead: once(json(500, `${marker} <html>`)),
      busy: once(json(503, errorJson("busy"))),
    },
    onTestFinished,
  );
  const gateway = await startGateway({
    providers: { up: provider(upstream) },
    models: {
      limits: { kind: "vote", members: ["up/a", "up/b", "up/c"] },
      mixed: { kind: "vote", members: ["up/a", "up/dead", "up/busy"] },
    },
  });
  const limits = await gateway.ask({ model: "limits" });
  expect([limits.status, limits.headers.get("retry-after"), limits.headers.get("x-should-retry")]).toEqual([429, "4", null]);
  const mixed = await gateway.ask({ model: "mixed" });
  expectHonest(mixed, [upstream]);
  expect(mixed.status).toBe(502);
  for (const line of [
    "up/a: upstream_rate_limited (HTTP 429)",
    "up/dead: upstream_error (HTTP 500)",
    "up/busy: upstream_overloaded (HTTP 503)",
  ])
    expect(mixed.error?.message).toContain(line);
});

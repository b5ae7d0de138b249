import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { observeLeaf } from "../../src/catalog/observe.ts";
import { enter, type Call } from "../../src/model/call.ts";
import { textOf } from "../../src/model/completion.ts";
import { GatewayError } from "../../src/model/errors.ts";
import type { FinishEvent, ModelEvent } from "../../src/model/events.ts";
import { legKey, requestKey, type LegRecord, type RequestRecord } from "../../src/model/history.ts";
import type { Model } from "../../src/model/model.ts";
import type { ProviderInstance } from "../../src/providers/define.ts";
import { replay } from "../../src/providers/replay.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock, type ManualClock } from "../support/clock.ts";
import { read } from "../support/read.ts";

const request = newRequest();
const asked = request.body;

function newPath(lines: readonly (object | string)[], name = "history.jsonl"): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-tape-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  return path;
}

let legs = 0;
let plays = 0;

function leg(fields: Partial<LegRecord> = {}): LegRecord {
  legs += 1;
  return {
    v: 1,
    type: "leg",
    requestId: `req_${legs}`,
    at: 0,
    upstream: "up/m",
    key: legKey(fields.asked ?? asked),
    path: ["up/m"],
    label: "up/m",
    order: 0,
    delivery: "unary",
    status: "ok",
    usage: { promptTokens: 8, completionTokens: 2 },
    usd: 0.5,
    startMs: 0,
    firstMs: 40,
    ms: 40,
    seq: { start: 1, end: 2 },
    asked,
    answer: says("recorded"),
    ...fields,
  };
}

function says(content: string): NonNullable<LegRecord["answer"]> {
  return { choices: [{ index: 0, message: { role: "assistant", content, refusal: null }, finishReason: "stop", logprobs: null }] };
}

function build(lines: readonly (object | string)[], options: object = {}, name = "up"): ProviderInstance {
  const parsed = replay.options.parse({ path: newPath(lines), ...options });
  return replay.build(parsed, { name, pools: openPools(), clock: manualClock() });
}

interface Played {
  readonly events: readonly ModelEvent[];
  readonly error: GatewayError | undefined;
  readonly call: Call;
  readonly clock: ManualClock;
}

/** Asks as a client request of its own, under the observation that bills. */
async function play(model: Model, given: Partial<Call> = {}, asks = request): Promise<Played> {
  const clock = manualClock();
  plays += 1;
  const root = newCall({ clock, id: `call-${plays}`, delivery: "unary", ...given });
  const call = enter(root, { label: "leg" });
  const { events, error } = await clock.drive(read(observeLeaf(model, undefined).stream(asks, call)));
  return { events, error, call, clock };
}

function finishOf({ events }: Played): FinishEvent | undefined {
  return events.find((event) => event.type === "finish");
}

function said(played: Played): string {
  const completion = finishOf(played)?.completion;
  return completion ? textOf(completion) : "";
}

describe("an answer that came whole", () => {
  test("comes whole after the time that it took, with its usage and its cost", async () => {
    const played = await play(build([leg()]).chat("m"));
    expect(said(played)).toBe("recorded");
    expect(played.clock.now()).toBe(40);
    expect(finishOf(played)?.usage).toEqual({ promptTokens: 8, completionTokens: 2 });
    expect(played.call.ledger.cost()).toEqual({ usd: 0.5, coverage: 1 });
  });

  test("comes at once without timing", async () => {
    const played = await play(build([leg()], { timing: "none" }).chat("m"));
    expect(said(played)).toBe("recorded");
    expect(played.clock.now()).toBe(0);
  });

  test("comes in one go when a stream is asked for", async () => {
    const played = await play(build([leg()]).chat("m"), { delivery: "stream" });
    expect(played.events.map(({ type }) => type)).toEqual(["batch", "finish"]);
    expect(played.events[0]).toMatchObject({
      deltas: [
        { type: "text", text: "recorded" },
        { type: "end", reason: "stop" },
      ],
    });
  });

  test("whose usage was an estimate is billed as one, and a cost that nobody knew is not known", async () => {
    const { usd: _, ...unpriced } = leg({ estimated: true });
    const { call } = await play(build([unpriced]).chat("m"));
    expect(call.ledger.legs).toEqual([
      { upstream: "up/m", status: "ok", usage: { promptTokens: 8, completionTokens: 2 }, estimated: true },
    ]);
  });
});

describe("an answer that was streamed", () => {
  const text = (content: string) => [{ type: "text", choice: 0, text: content }] as const;
  const chunks: LegRecord["chunks"] = [
    [10, text("re")],
    [25, text("corded")],
    [30, [{ type: "end", choice: 0, reason: "length" }]],
  ];
  const { answer: _, ...bare } = leg();
  const streamed = { ...bare, delivery: "stream", chunks, firstMs: 10, seq: { start: 1, first: 2, end: 3 } } as const;

  test("comes in its own pieces at their own times", async () => {
    const clock = manualClock();
    const times: number[] = [];
    const call = newCall({ clock });
    const reading = async () => {
      for await (const event of build([streamed]).chat("m").stream(request, call)) {
        if (event.type === "batch") times.push(clock.now());
      }
    };
    await clock.drive(reading());
    expect(times).toEqual([10, 25, 30]);
    expect(clock.now()).toBe(40);
  });

  test("is a whole answer for who asks for one", async () => {
    const played = await play(build([streamed]).chat("m"), { delivery: "metered" });
    expect(finishOf(played)?.completion?.choices).toMatchObject([{ message: { content: "recorded" }, finishReason: "length" }]);
  });
});

describe("a leg that did not end well", () => {
  const { answer: _, usd: __, ...bare } = leg();

  test("fails again, with its code, its status and its wait, after the time that it took", async () => {
    const error = { code: "upstream_rate_limited", message: "Slow down.", upstreamStatus: 429, retryAfterMs: 700 };
    const free = { ...bare, status: "failed", usage: { promptTokens: 0, completionTokens: 0 }, usd: 0, error } as const;
    const { error: thrown, clock, call } = await play(build([free]).chat("m"));
    expect(thrown).toMatchObject({
      code: "upstream_rate_limited",
      message: "Slow down.",
      details: { retryAfterMs: 700, upstreamStatus: 429 },
    });
    expect(clock.now()).toBe(40);
    expect(call.ledger.legs).toEqual([
      { upstream: "up/m", status: "failed", usage: { promptTokens: 0, completionTokens: 0 }, estimated: false, usd: 0 },
    ]);
  });

  test("that was cut waits to be cut, and is billed as it was", async () => {
    const usage = { promptTokens: 8, completionTokens: 1 };
    const lost = { ...bare, status: "lost", cut: true, usage, estimated: true, usd: 0.25, error: { code: "cancelled" } } as const;
    const clock = manualClock();
    const controller = new AbortController();
    clock.timer(45, () => controller.abort(new GatewayError("cancelled", "Outvoted.")));
    const root = newCall({ clock, delivery: "metered", signal: controller.signal });
    const call = enter(root, { label: "leg" });
    const { error } = await clock.drive(read(observeLeaf(build([lost]).chat("m"), undefined).stream(request, call)));
    expect(error?.message).toBe("Outvoted.");
    expect(call.ledger.legs).toEqual([{ upstream: "up/m", status: "cancelled", usage, estimated: true, usd: 0.25 }]);
  });

  test("that was cut and is wanted now fails instead of waiting for ever", async () => {
    const lost = { ...bare, status: "lost", cut: true, error: { code: "cancelled" } } as const;
    const { error, clock } = await play(build([lost]).chat("m"));
    expect(error).toMatchObject({
      code: "upstream_error",
      message: "up/m was cut when it was recorded, so that the rest of it is not known.",
    });
    expect(clock.now()).toBe(1040);
  });

  test("a code of another version of this gateway is an upstream's error", async () => {
    const { error } = await play(build([{ ...bare, status: "failed", error: { code: "out_of_cheese" } }]).chat("m"));
    expect(error).toMatchObject({ code: "upstream_error", message: "up/m failed when it was recorded." });
  });
});

test("an answer that is cut before its end is billed for the part that was read", async () => {
  const clock = manualClock();
  const controller = new AbortController();
  clock.timer(20, () => controller.abort(new GatewayError("cancelled", "Enough.")));
  const call = enter(newCall({ clock, delivery: "metered", signal: controller.signal }), { label: "leg" });
  await clock.drive(read(observeLeaf(build([leg()]).chat("m"), undefined).stream(request, call)));
  expect(call.ledger.legs).toEqual([
    { upstream: "up/m", status: "cancelled", usage: { promptTokens: 8, completionTokens: 0 }, estimated: true, usd: 0.4 },
  ]);
});

test("the timers of nodes above hold", async () => {
  const { error, clock } = await play(build([leg({ ms: 900 })]).chat("m"), { timeouts: { firstTokenMs: 300 } });
  expect(error?.code).toBe("upstream_timeout");
  expect(clock.now()).toBe(300);
});

describe("which recording answers", () => {
  const other = newRequest({ messages: [{ role: "user", content: "What else?" }] });

  test("a request that was not recorded is a miss that names its key", async () => {
    const { error, call } = await play(build([leg()]).chat("m"), {}, other);
    expect(error).toMatchObject({
      code: "replay_miss",
      status: 404,
      retry: false,
      message: `up/m: nothing was recorded of this request (key up/m ${legKey(other.body)}).`,
    });
    expect(call.ledger.usage()).toEqual({ promptTokens: 0, completionTokens: 0 });
  });

  test("a model that was not recorded is a miss", async () => {
    expect((await play(build([leg()]).chat("n"))).error?.code).toBe("replay_miss");
  });

  test("how it travels, under which name it was asked for and its nonce do not matter", async () => {
    const content = (nonce: string) => [
      { role: "user", content: `--- answer A, mark ${nonce} ---\n42\n--- end of answer A, mark ${nonce} ---` },
    ];
    const recorded = leg({ asked: { model: "exam", messages: content("abcd1234efgh5678"), seed: null } });
    const asks = newRequest({
      model: "smart",
      messages: content("0000111122223333"),
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(said(await play(build([recorded]).chat("m"), {}, asks))).toBe("recorded");
  });

  test("order of keys does not matter, but every setting does", () => {
    expect(legKey({ a: { x: 1, y: [1, 2] }, b: 2 })).toBe(legKey({ b: 2, a: { y: [1, 2], x: 1 } }));
    expect(legKey({ temperature: 0 })).not.toBe(legKey({ temperature: 1 }));
    expect(legKey({ list: [1, 2] })).not.toBe(legKey({ list: [2, 1] }));
    expect(requestKey({ model: "a" })).not.toBe(requestKey({ model: "b" }));
    expect(requestKey({ model: "a", chorale: { expose: "full" }, stream: true })).toBe(requestKey({ model: "a" }));
  });

  test("samples of one request come in their order, and one more is a miss", async () => {
    const samples = ["one", "two"].map((content, order) => leg({ requestId: "req_s", order, answer: says(content) }));
    const model = build(samples).chat("m");
    expect(said(await play(model, { id: "x" }))).toBe("one");
    expect(said(await play(model, { id: "x" }))).toBe("two");
    const { error } = await play(model, { id: "x" });
    expect(error?.message).toMatch(/^up\/m: this request was recorded 2 times, and is asked once more \(key up\/m [0-9a-f]{32}\)\.$/);
  });

  test("a seed picks its sample", async () => {
    const samples = [11, 22].map((seed, order) => leg({ requestId: "req_s", order, seed, answer: says(`seed ${seed}`) }));
    const model = build(samples).chat("m");
    expect(said(await play(model, {}, newRequest({ seed: 22 })))).toBe("seed 22");
    expect(said(await play(model, {}, newRequest({ seed: 33 })))).toBe("seed 11");
  });

  test("each new request has the next recorded one, and after the last the first again", async () => {
    const model = build(["one", "two"].map((content) => leg({ answer: says(content) }))).chat("m");
    const answers = [];
    for (let n = 0; n < 3; n += 1) answers.push(said(await play(model)));
    expect(answers).toEqual(["one", "two", "one"]);
  });

  test("a request stays with the recorded request that it began with", async () => {
    const ofRequest = (requestId: string, text: string) => [
      leg({ requestId, order: 0, answer: says(`${text} m`) }),
      leg({ requestId, order: 1, upstream: "up/n", answer: says(`${text} n`) }),
    ];
    const provider = build([...ofRequest("req_1", "first"), ...ofRequest("req_2", "second")]);
    await play(provider.chat("n"), { id: "only n" });
    expect(said(await play(provider.chat("m"), { id: "both" }))).toBe("first m");
    expect(said(await play(provider.chat("n"), { id: "both" }))).toBe("first n");
  });

  test("a line that stands twice counts once", async () => {
    const line = leg();
    const model = build([line, line]).chat("m");
    await play(model, { id: "x" });
    expect((await play(model, { id: "x" })).error?.code).toBe("replay_miss");
  });
});

describe("a client request that was recorded", () => {
  const client: RequestRecord = {
    v: 1,
    type: "request",
    requestId: "req_c",
    at: 0,
    principal: "team-a",
    model: "smart",
    strategy: "vote",
    key: requestKey(asked),
    draws: 77,
    status: 200,
    stream: false,
    ms: 50,
    legs: 2,
    usd: 0,
    coverage: 1,
    degraded: [],
    warnings: [],
  };
  const fast = leg({ requestId: "req_c", order: 0, ms: 5, seq: { start: 1, end: 4 } });
  const slow = leg({ requestId: "req_c", order: 1, upstream: "up/n", ms: 5, seq: { start: 2, end: 3 } });

  test("tells the seed of its draws, the next one at the next time", () => {
    const provider = build([fast, client, { ...client, requestId: "req_d", draws: 88 }]);
    expect(["x", "y", "x"].map((id) => provider.recall?.(request, id))).toEqual([77, 88, 77]);
    expect(provider.recall?.(newRequest({ model: "other" }), "z")).toBeUndefined();
  });

  test.each(["recorded", "none"])("its legs end in the order in which they did, with timing %s", async (timing) => {
    const provider = build([fast, slow, client], { timing });
    provider.recall?.(request, "x");
    const clock = manualClock();
    const call = newCall({ clock, id: "x", delivery: "unary" });
    const ended: string[] = [];
    const ask = async (model: string) => {
      await read(provider.chat(model).stream(request, enter(call, { label: model })));
      ended.push(model);
    };
    await clock.drive(Promise.all([ask("m"), ask("n")]));
    expect(ended).toEqual(["n", "m"]);
  });

  test("an order that can not be kept is given up", async () => {
    const provider = build([fast, slow, client]);
    provider.recall?.(request, "x");
    const { clock, error } = await play(provider.chat("m"), { id: "x" });
    expect(error).toBeUndefined();
    expect(clock.now()).toBe(1005);
  });
});

describe("at boot", () => {
  test.each([
    ["there is no file", () => ({ path: "/nowhere/history.jsonl" }), /there is no recording \/nowhere/],
    [
      "there is no content",
      () => ({ path: newPath([{ ...leg(), asked: undefined, answer: undefined }]) }),
      /has no answers: record with `content: true`/,
    ],
    ["the version is another", () => ({ path: newPath([{ ...leg(), v: 2 }]) }), /history of version 2; this gateway reads version 1/],
    ["the provider is not in it", () => ({ path: newPath([leg()]), provider: "gpu" }), /no provider "gpu"; it has up: set `provider`/],
  ])("%s is an error", (_, options, message) => {
    expect(() => replay.build(replay.options.parse(options()), { name: "up", pools: openPools(), clock: manualClock() })).toThrow(message);
  });

  test("it lists what was recorded of its provider, with what that could do", () => {
    const provider = build([leg({ capabilities: { logprobs: true } }), leg({ upstream: "gpu/n" })]);
    expect(provider.own).toEqual(["m"]);
    expect(provider.capabilities("m")).toEqual({ logprobs: true });
  });

  test("the only provider of a recording may have another name here", async () => {
    expect(said(await play(build([leg()], {}, "tape").chat("m")))).toBe("recorded");
    expect(() => build([leg(), leg({ upstream: "gpu/n" })], {}, "tape")).toThrow(/no provider "tape"; it has up, gpu/);
  });

  test("lines that were cut are skipped", async () => {
    expect(said(await play(build(['{"v":1,"type":"l', leg(), "", "null"]).chat("m")))).toBe("recorded");
  });

  test("a line that a program wrote needs to say who was asked what, and what the answer was", async () => {
    const written = (upstream: string) => ({ v: 1, type: "leg", requestId: "item 1", upstream, asked, answer: says(`by ${upstream}`) });
    const provider = build([written("up/m"), written("up/n")]);
    const played = await play(provider.chat("m"), { id: "x" });
    expect([said(played), said(await play(provider.chat("n"), { id: "x" })), played.clock.now()]).toEqual(["by up/m", "by up/n", 0]);
    expect(played.call.ledger.legs).toMatchObject([{ status: "ok", estimated: true }]);
  });

  test("full files are read too, the oldest first", async () => {
    const path = newPath([leg({ answer: says("three") })]);
    writeFileSync(`${path}.1`, `${JSON.stringify(leg({ answer: says("two") }))}\n`);
    writeFileSync(`${path}.2`, `${JSON.stringify(leg({ answer: says("one") }))}\n`);
    const model = replay.build(replay.options.parse({ path }), { name: "up", pools: openPools(), clock: manualClock() }).chat("m");
    const answers = [];
    for (let n = 0; n < 3; n += 1) answers.push(said(await play(model)));
    expect(answers).toEqual(["one", "two", "three"]);
  });
});

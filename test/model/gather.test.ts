import { getEventListeners } from "node:events";
import * as fc from "../support/properties.ts";
import { describe, expect, test } from "vitest";
import type { Call } from "../../src/model/call.ts";
import { GatewayError } from "../../src/model/errors.ts";
import { gather, type Gathered, type GatherPolicy, type Seat } from "../../src/model/gather.ts";
import { newLatency } from "../../src/model/latency.ts";
import { newRetryBudget, newSlot } from "../../src/model/slot.ts";
import { newTrace } from "../../src/model/trace.ts";
import { newCall, newRequest } from "../support/call.ts";
import { type ManualClock, manualClock } from "../support/clock.ts";
import { FakeModel, fails, type Script } from "../support/fake-model.ts";

const broken = new GatewayError("upstream_error", "It broke.", { upstream: "a" });

/** Answers with `text` after so long. */
function after(waitMs: number, text: string): Script {
  return { moves: [{ waitMs }, { text }] };
}

function failsAfter(waitMs: number): Script {
  return { moves: [{ waitMs }, { fail: broken }] };
}

const silent: Script = { moves: [{ text: "never" }, "stall"] };

class Table {
  readonly clock: ManualClock = manualClock();
  readonly controller = new AbortController();
  readonly models: FakeModel[] = [];
  readonly call: Call;

  constructor(given: Partial<Call> = {}) {
    this.call = newCall({
      clock: this.clock,
      signal: this.controller.signal,
      delivery: "unary",
      trace: newTrace(0, true),
      ...given,
    });
  }

  seat(label: string, script: Script, more: Partial<Seat> = {}): Seat {
    const model = new FakeModel(label, script);
    this.models.push(model);
    return { label, model, request: newRequest(), ...more };
  }

  gather(seats: readonly Seat[], policy: GatherPolicy): Promise<Gathered> {
    return this.clock.drive(gather(seats, this.call, policy));
  }

  get open(): number {
    return this.models.reduce((sum, { open }) => sum + open, 0);
  }

  /** What nobody may leave behind. */
  get left(): object {
    return {
      open: this.open,
      timers: this.clock.pending,
      listeners: getEventListeners(this.controller.signal, "abort").length,
    };
  }
}

const nothing = { open: 0, timers: 0, listeners: 0 };

function told({ candidates }: Gathered): readonly string[] {
  return candidates.map(({ label, completion }) => `${label}: ${completion.choices[0]?.message.content}`);
}

function lost({ losses }: Gathered): readonly string[] {
  return losses.map(({ seat, label, error }) => `${seat} ${label}: ${error.code}`);
}

describe("gather", () => {
  test("asks all at once and tells the answers in the order of the seats", async () => {
    const table = new Table();
    const gathered = await table.gather([table.seat("a", after(300, "A")), table.seat("b", after(100, "B"))], { min: 2 });
    expect(told(gathered)).toEqual(["a: A", "b: B"]);
    expect(gathered.candidates.map(({ ms }) => ms)).toEqual([300, 100]);
    expect(gathered).toMatchObject({ losses: [], short: false });
    expect(gathered.early).toBeUndefined();
    expect(table.clock.now()).toBe(300);
    expect(table.left).toEqual(nothing);
  });

  test("without a grace time waits for all, also beyond the quorum", async () => {
    const table = new Table();
    await table.gather([table.seat("a", after(1, "A")), table.seat("b", after(9000, "B"))], {
      min: 1,
    });
    expect(table.clock.now()).toBe(9000);
  });

  test("with a grace time waits that much longer once there are enough, and no more", async () => {
    const table = new Table();
    const seats = [table.seat("a", after(100, "A")), table.seat("b", silent), table.seat("c", after(150, "C"))];
    const gathered = await table.gather(seats, { min: 1, graceMs: 70 });
    expect(told(gathered)).toEqual(["a: A", "c: C"]);
    expect(gathered).toMatchObject({ early: "quorum reached", losses: [], short: false });
    expect(table.clock.now()).toBe(170);
    expect(table.left).toEqual(nothing);
  });

  test("ends its losers before it returns", async () => {
    const table = new Table();
    const seats = [table.seat("a", after(100, "A")), table.seat("b", silent)];
    let openAtReturn = -1;
    await table.clock.drive(gather(seats, table.call, { min: 1, graceMs: 0 }).then(() => (openAtReturn = table.open)));
    expect(openAtReturn).toBe(0);
    expect(table.models[1]).toMatchObject({ cancelled: 1 });
    expect(table.models[1]?.calls[0]?.signal.reason).toMatchObject({ code: "cancelled" });
  });

  test("ends at the deadline with what there is, and a reason for each that is missing", async () => {
    const table = new Table();
    const gathered = await table.gather([table.seat("a", after(100, "A")), table.seat("b", silent)], { min: 2, deadlineMs: 500 });
    expect(told(gathered)).toEqual(["a: A"]);
    expect(lost(gathered)).toEqual(["1 b: upstream_timeout"]);
    expect(gathered).toMatchObject({ short: true, early: "the deadline passed" });
    expect(table.clock.now()).toBe(500);
    expect(table.left).toEqual(nothing);
  });

  test("is short without enough usable answers, and tells why", async () => {
    const table = new Table();
    const gathered = await table.gather([table.seat("a", fails(broken)), table.seat("b", after(5, "B"))], { min: 2 });
    expect(gathered).toMatchObject({
      short: true,
      losses: [{ seat: 0, label: "a", error: broken }],
    });
    expect(told(gathered)).toEqual(["b: B"]);
  });

  test("counts an answer that cannot be used as a loss", async () => {
    const table = new Table();
    const gathered = await table.gather([table.seat("a", after(1, "")), table.seat("b", after(2, "B"))], {
      min: 1,
      unusable: ({ choices }) => (choices[0]?.message.content === "" ? "it is empty" : undefined),
    });
    expect(lost(gathered)).toEqual(["0 a: unusable_answer"]);
    expect(told(gathered)).toEqual(["b: B"]);
  });

  test("ends with nobody to ask", async () => {
    expect(await new Table().gather([], { min: 1 })).toEqual({
      candidates: [],
      losses: [],
      short: true,
    });
  });
});

describe("reserves", () => {
  test("the next reserve starts at once for a seat that failed, and answers for it", async () => {
    const table = new Table();
    const reserves = [table.seat("r1", failsAfter(10)), table.seat("r2", after(10, "R2")), table.seat("r3", after(10, "R3"))];
    const gathered = await table.gather([table.seat("a", failsAfter(10)), table.seat("b", after(100, "B"))], { min: 2, reserves });
    expect(gathered.candidates.map(({ seat, label }) => [seat, label])).toEqual([
      [0, "r2"],
      [1, "b"],
    ]);
    expect(lost(gathered)).toEqual(["0 a: upstream_error", "0 r1: upstream_error"]);
    expect(table.models.map(({ calls }) => calls.length)).toEqual([1, 1, 0, 1, 1]);
  });

  test("an answer that cannot be used is replaced too", async () => {
    const table = new Table();
    const gathered = await table.gather([table.seat("a", after(1, "no"))], {
      min: 1,
      reserves: [table.seat("r", after(1, "R"))],
      unusable: ({ choices }) => (choices[0]?.message.content === "no" ? "it is a refusal" : undefined),
    });
    expect(told(gathered)).toEqual(["r: R"]);
  });

  test("nobody is started any more once it is over", async () => {
    const table = new Table();
    const reserve = table.seat("r", after(1, "R"));
    await table.gather([table.seat("a", after(1, "A")), table.seat("b", silent)], {
      min: 1,
      graceMs: 5,
      reserves: [reserve],
    });
    await table.gather([table.seat("c", silent)], { min: 1, deadlineMs: 5, reserves: [reserve] });
    expect(table.models[0]?.calls).toEqual([]);
  });
});

describe("hedges", () => {
  test("a reserve starts beside a slow seat, and whoever is first answers for it", async () => {
    const table = new Table();
    const gathered = await table.gather([table.seat("a", after(900, "A"))], {
      min: 1,
      hedge: 200,
      reserves: [table.seat("r", after(100, "R"))],
    });
    expect(told(gathered)).toEqual(["r: R"]);
    expect(table.clock.now()).toBe(300);
    expect(table.left).toEqual(nothing);
  });

  test("the other leg of a hedged seat is cut at once, while other seats still run", async () => {
    const table = new Table();
    const seats = [table.seat("a", silent), table.seat("b", after(1000, "B"))];
    const gathering = gather(seats, table.call, {
      min: 2,
      hedge: 200,
      reserves: [table.seat("r", after(100, "R"))],
    });
    await table.clock.advance(299);
    expect(table.models[0]).toMatchObject({ open: 1, cancelled: 0 });
    await table.clock.advance(1);
    expect(table.models[0]).toMatchObject({ open: 0, cancelled: 1 });
    expect(lost(await table.clock.drive(gathering))).toEqual([]);
  });

  test("a seat waits for its hedge when its own leg fails, and is lost when both did", async () => {
    const table = new Table();
    const saved = await table.gather([table.seat("a", failsAfter(250))], {
      min: 1,
      hedge: 200,
      reserves: [table.seat("r", after(100, "R"))],
    });
    expect(told(saved)).toEqual(["r: R"]);
    const both = await table.gather([table.seat("b", failsAfter(250))], {
      min: 1,
      hedge: 200,
      reserves: [table.seat("r", failsAfter(100))],
    });
    expect(lost(both)).toEqual(["0 b: upstream_error", "0 r: upstream_error"]);
    expect(table.left).toEqual(nothing);
  });

  test("a fast seat needs no hedge", async () => {
    const table = new Table();
    const reserves = [table.seat("r1", silent), table.seat("r2", silent)];
    await table.gather([table.seat("a", after(100, "A")), table.seat("b", after(900, "B"))], {
      min: 2,
      hedge: 200,
      reserves,
    });
    expect(table.models.slice(0, 2).map(({ calls }) => calls.length)).toEqual([1, 0]);
  });

  test("a seat is hedged at its own p90, once that is known", async () => {
    const table = new Table();
    const latency = newLatency();
    const round = () => {
      const seat = table.seat("a", after(90, "A"), { latency });
      return table.gather([seat], {
        min: 1,
        hedge: "p90",
        reserves: [table.seat("r", after(100, "R"))],
      });
    };
    for (let i = 0; i < 10; i += 1) await round();
    const reserves = () => table.models.filter(({ name, calls }) => name === "r" && calls.length > 0).length;
    expect([latency.p90(), reserves()]).toEqual([90, 0]);
    const slow = table.seat("a", silent, { latency });
    const startMs = table.clock.now();
    await table.gather([slow], {
      min: 1,
      hedge: "p90",
      reserves: [table.seat("r", after(100, "R"))],
    });
    expect([table.clock.now() - startMs, reserves()]).toEqual([190, 1]);
  });
});

describe("an early end", () => {
  test("a stop ends it at once, and cuts the rest", async () => {
    const table = new Table();
    const seats = [table.seat("a", after(10, "A")), table.seat("b", after(20, "B")), table.seat("c", silent)];
    let seen = 0;
    const gathered = await table.gather(seats, {
      min: 3,
      stop: () => ((seen += 1) === 2 ? "two agree" : undefined),
    });
    expect(told(gathered)).toEqual(["a: A", "b: B"]);
    expect(gathered).toMatchObject({ early: "two agree", losses: [] });
    expect(table.clock.now()).toBe(20);
    expect(table.left).toEqual(nothing);
  });

  test("an abort throws its reason, after everything has ended", async () => {
    const gone = new GatewayError("client_closed", "The client has left.");
    const table = new Table();
    const gathering = gather([table.seat("a", silent), table.seat("b", after(10, "B"))], table.call, {
      min: 2,
      graceMs: 5,
      deadlineMs: 900,
    });
    await table.clock.advance(20);
    table.controller.abort(gone);
    await expect(gathering).rejects.toBe(gone);
    expect(table.left).toEqual(nothing);
  });

  test("an aborted call asks nobody", async () => {
    const table = new Table();
    table.controller.abort(new GatewayError("client_closed", "The client has left."));
    await expect(table.gather([table.seat("a", silent)], { min: 1 })).rejects.toMatchObject({
      code: "client_closed",
    });
    expect(table.models[0]?.calls).toEqual([]);
  });

  test.for<readonly [string, Partial<GatherPolicy>]>([
    ["unusable", { unusable: () => fault() }],
    ["stop", { stop: () => fault() }],
  ])("a fault in %s is thrown, and nothing is left", async ([, policy]) => {
    const table = new Table();
    const gathering = table.gather([table.seat("a", after(10, "A")), table.seat("b", silent)], {
      min: 2,
      ...policy,
    });
    await expect(gathering).rejects.toMatchObject({ code: "internal" });
    expect(table.left).toEqual(nothing);
  });
});

function fault(): never {
  throw new TypeError("no such thing");
}

describe("a leg", () => {
  test("is a member's: in a slot and a span of its own", async () => {
    const table = new Table({ slot: newSlot(newRetryBudget(), 1) });
    await table.gather([table.seat("a", after(1, "A")), table.seat("b", after(1, "B"))], {
      min: 2,
    });
    const calls = table.models.map(({ calls }) => calls[0]);
    expect(calls.map((call) => call?.slot.take())).toEqual([true, true]);
    expect(table.call.span.children).toEqual(calls.map((call) => call?.span));
    expect(table.call.span.children.map(({ label }) => label)).toEqual(["a", "b"]);
  });

  test.for<readonly [string, Partial<GatherPolicy>, Partial<Call>, string]>([
    ["nobody may cut it", {}, {}, "unary"],
    ["a grace time may cut it", { graceMs: 5 }, {}, "metered"],
    ["a stop may cut it", { stop: () => undefined }, {}, "metered"],
    ["a hedge may cut it", { hedge: 5 }, {}, "metered"],
    ["whoever is above may cut it", {}, { delivery: "metered" }, "metered"],
    ["its tokens are the client's, but the panel's answer is not", {}, { delivery: "stream" }, "unary"],
  ])("where %s", async ([, policy, given, delivery]) => {
    const table = new Table(given);
    await table.gather([table.seat("a", after(1, "A"))], { min: 1, ...policy });
    expect(table.models[0]?.calls[0]?.delivery).toBe(delivery);
  });
});

test("whatever happens, every seat is accounted for and nothing is left", async () => {
  const script = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 400 }).map((ms) => after(ms, "yes")) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 400 }).map((ms) => after(ms, "no")) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 400 }).map(failsAfter) },
    { weight: 1, arbitrary: fc.constant(silent) },
  );
  const maybe = (max: number) => fc.option(fc.integer({ min: 0, max }), { nil: undefined });
  const tables = fc.record({
    seats: fc.array(script, { maxLength: 5 }),
    reserves: fc.array(script, { maxLength: 3 }),
    min: fc.integer({ min: 1, max: 4 }),
    graceMs: maybe(300),
    hedge: maybe(300),
    stopAfter: maybe(3),
    abortAtMs: maybe(500),
  });
  const property = fc.asyncProperty(tables, async ({ seats, reserves, min, graceMs, hedge, stopAfter, abortAtMs }) => {
    const table = new Table();
    const gone = new GatewayError("client_closed", "The client has left.");
    const leaves = abortAtMs === undefined ? undefined : table.clock.timer(abortAtMs, () => table.controller.abort(gone));
    let wins = 0;
    const policy: GatherPolicy = {
      min,
      deadlineMs: 1000,
      reserves: reserves.map((one, index) => table.seat(`r${index}`, one)),
      unusable: ({ choices }) => (choices[0]?.message.content === "no" ? "it is a no" : undefined),
      ...(graceMs === undefined ? {} : { graceMs }),
      ...(hedge === undefined ? {} : { hedge }),
      ...(stopAfter === undefined ? {} : { stop: () => ((wins += 1) > stopAfter ? "enough" : undefined) }),
    };
    const run = table
      .gather(
        seats.map((one, index) => table.seat(`s${index}`, one)),
        policy,
      )
      .then(
        (gathered) => gathered,
        (thrown: unknown) => thrown,
      );
    const result = await run;
    leaves?.[Symbol.dispose]();
    expect(table.left).toEqual(nothing);
    expect(table.clock.now()).toBeLessThanOrEqual(1000);
    if (table.controller.signal.aborted) {
      expect(result).toBe(gone);
      return;
    }
    const { candidates, losses, short, early } = result as Gathered;
    const answered = candidates.map(({ seat }) => seat);
    expect(new Set(answered).size).toBe(answered.length);
    expect(answered).toEqual(answered.toSorted((a, b) => a - b));
    expect(short).toBe(candidates.length < min);
    if (early === undefined) {
      const missing = seats.map((_, seat) => seat).filter((seat) => !answered.includes(seat));
      expect(missing.filter((seat) => !losses.some((loss) => loss.seat === seat))).toEqual([]);
    }
    for (const { calls } of table.models) expect(calls.length).toBeLessThanOrEqual(1);
  });
  await fc.assert(property, { numRuns: 400 });
});

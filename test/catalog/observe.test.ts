import { describe, expect, test } from "vitest";
import { attempted } from "../../src/catalog/attempt.ts";
import { Incapable } from "../../src/catalog/incapable.ts";
import { observe, observeLeaf } from "../../src/catalog/observe.ts";
import { openBudget, unbounded } from "../../src/model/budget.ts";
import type { Call } from "../../src/model/call.ts";
import { GatewayError } from "../../src/model/errors.ts";
import { batch, type ModelEvent } from "../../src/model/events.ts";
import type { Model } from "../../src/model/model.ts";
import { change } from "../../src/model/request.ts";
import type { Span } from "../../src/model/trace.ts";
import type { Usage } from "../../src/model/usage.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { fails, FakeModel, says } from "../support/fake-model.ts";
import { describeModelContract, wholly } from "../support/model-contract.ts";
import { read } from "../support/read.ts";
import { entering } from "./kit.ts";

describeModelContract("observe", (leaf) => observe(entering(leaf("a")), "kind"));
describeModelContract("observe round a leaf", (leaf) => observeLeaf(entering(leaf("a")), { in: 1, out: 2 }));
describeModelContract("observe of whole answers", (leaf) => observe(wholly(entering(leaf("a"))), "kind"));
describeModelContract("observe round a leaf of whole answers", (leaf) => observeLeaf(wholly(entering(leaf("a"))), { in: 1, out: 2 }));
describeModelContract("an attempt of whole answers", (leaf) => attempted(wholly(entering(leaf("a"))), new Incapable("a", {})));

const price = { in: 1_000_000, out: 2_000_000, cachedIn: 100_000 };
const usage: Usage = { promptTokens: 10, completionTokens: 5 };
const answer = { moves: [{ text: "Hello" }], usage };
const request = newRequest({ max_tokens: 20 });
/** Tokens that the prompt is taken for before it is sent, and those that it is billed with where nobody counted them: 12 letters in a message. */
const prompt = Math.ceil(request.source.buffer.length / 4);
const billed = 7;

/** A leaf that does as told, with the span at hand as a real one has it. */
function leafOf(body: (call: Call) => AsyncGenerator<ModelEvent>): Model {
  return { name: "p/m", stream: (_, call) => body(call) };
}

/** A leaf that notes something in its span and fails. */
function leafThatFails(note: (span: Span) => void, error: GatewayError): Model {
  return leafOf(async function* (call) {
    note(call.span);
    yield* [];
    throw error;
  });
}

async function stopAfter(events: AsyncIterable<ModelEvent>, type: ModelEvent["type"]): Promise<void> {
  for await (const event of events) if (event.type === type) return;
}

describe("the trace of a node", () => {
  test("has its name, kind, times and a good end", async () => {
    const clock = manualClock();
    const call = newCall({ clock });
    const inner = new FakeModel("smart", {
      moves: ["role", { waitMs: 30 }, { text: "a" }, { waitMs: 20 }, { text: "b" }],
    });
    await clock.drive(read(observe(inner, "cascade").stream(request, call)));
    expect(call.span).toMatchObject({
      node: "smart",
      kind: "cascade",
      status: "ok",
      startMs: 0,
      firstMs: 30,
      endMs: 50,
    });
  });

  test("takes a whole answer's end for its first content", async () => {
    const clock = manualClock();
    const call = newCall({ clock, delivery: "unary" });
    await clock.drive(read(observe(new FakeModel("m", { moves: [{ waitMs: 30 }, { text: "a" }] }), "x").stream(request, call)));
    expect(call.span).toMatchObject({ status: "ok", firstMs: 30, endMs: 30 });
  });

  test("tells why it failed", async () => {
    const call = newCall();
    const { error } = await read(
      observe(new FakeModel("m", fails(new GatewayError("upstream_quota", "no money"))), "x").stream(request, call),
    );
    expect(error?.code).toBe("upstream_quota");
    expect(call.span).toMatchObject({
      status: "failed",
      error: { code: "upstream_quota", message: "no money" },
      endMs: 0,
    });
    expect(call.span.firstMs).toBeUndefined();
  });

  test("is lost when its consumer leaves before the finish, and good after it", async () => {
    const [left, stayed] = [newCall(), newCall()];
    await stopAfter(observe(new FakeModel("m"), "x").stream(request, left), "batch");
    await stopAfter(observe(new FakeModel("m"), "x").stream(request, stayed), "finish");
    expect([left.span.status, stayed.span.status]).toEqual(["lost", "ok"]);
  });

  test.each([
    ["cancelled", "lost"],
    ["client_closed", "lost"],
    ["upstream_timeout", "failed"],
  ] as const)("of a call that was aborted with %s is %s", async (code, status) => {
    const controller = new AbortController();
    const call = newCall({ signal: controller.signal });
    const reading = read(observe(new FakeModel("m", { moves: ["stall"] }), "x").stream(request, call));
    controller.abort(new GatewayError(code, "enough"));
    await reading;
    expect(call.span).toMatchObject({ status, error: { code } });
  });

  test("makes our error of any other, and of an end without a finish", async () => {
    const broken = {
      name: "m",
      stream: () => {
        throw new TypeError("a bug");
      },
    };
    expect((await read(observe(broken, "x").stream(request, newCall()))).error?.code).toBe("internal");
    expect((await read(observe(new FakeModel("m", { moves: ["cut"] }), "x").stream(request, newCall()))).error?.code).toBe(
      "upstream_protocol",
    );
  });

  test("is left alone until the first event is asked for", () => {
    const call = newCall();
    observe(new FakeModel("m"), "x").stream(request, call);
    observeLeaf(new FakeModel("m"), price).stream(request, call);
    expect([call.span.node, call.ledger.legs]).toEqual([undefined, []]);
  });
});

test("events pass through as they are", async () => {
  const events: readonly ModelEvent[] = [
    { type: "start", id: "x" },
    { type: "batch", bytes: "data: {}\n\n", flags: 1, deltas: [] },
    { type: "finish", usage, bytes: "data: {}\n\n" },
  ];
  const inner = leafOf(async function* () {
    yield* events;
  });
  for (const model of [observe(inner, "x"), observeLeaf(inner, price)]) {
    const seen = (await read(model.stream(request, newCall()))).events;
    expect(seen.map((event, index) => event === events[index])).toEqual([true, true, true]);
  }
});

describe("the leg of a leaf", () => {
  async function legOf(inner: Model, given: Partial<Call> = {}, priced: typeof price | undefined = price) {
    const call = newCall(given);
    const { error } = await read(observeLeaf(inner, priced).stream(request, call));
    const { legs } = call.ledger;
    expect(legs).toHaveLength(error?.code === "budget_denied" ? 0 : 1);
    return { leg: legs[0], span: call.span, error };
  }

  test.each(["stream", "unary", "metered"] as const)("is billed by the usage that the upstream told (%s)", async (delivery) => {
    const { leg, span } = await legOf(new FakeModel("p/m", answer), { delivery });
    expect(leg).toEqual({ upstream: "p/m", status: "ok", usage, usd: 20, estimated: false });
    expect(span).toMatchObject({
      upstream: "p/m",
      kind: "leaf",
      usage,
      usd: 20,
      estimated: false,
      status: "ok",
    });
  });

  test("counts each token once: cached ones are a part of the prompt, reasoning a part of the answer", async () => {
    const told = { promptTokens: 10, completionTokens: 5, cachedTokens: 8, reasoningTokens: 4 };
    const { leg } = await legOf(new FakeModel("p/m", { ...answer, usage: told }));
    expect(leg?.usd).toBeCloseTo(2 * 1 + 8 * 0.1 + 5 * 2);
  });

  test("has no price when nobody knows it", async () => {
    const call = newCall();
    await read(observeLeaf(new FakeModel("p/m", answer), undefined).stream(request, call));
    expect(call.ledger.legs[0]).toEqual({ upstream: "p/m", status: "ok", usage, estimated: false });
    expect(call.ledger.cost()).toEqual({ usd: 0, coverage: 0 });
  });

  test("without usage is estimated from the answer", async () => {
    const { leg } = await legOf(new FakeModel("p/m", says("12345678")), { delivery: "unary" });
    expect(leg).toMatchObject({
      status: "ok",
      usage: { promptTokens: billed, completionTokens: 2 },
      estimated: true,
    });
  });

  test("without usage of a stream counts a token a batch", async () => {
    const { leg } = await legOf(new FakeModel("p/m", says("a", "b", "c")));
    expect(leg).toMatchObject({
      usage: { promptTokens: billed, completionTokens: 3 },
      estimated: true,
    });
  });

  test("that was never sent costs nothing, whatever its price", async () => {
    const refused = new GatewayError("upstream_unreachable", "refused the connection");
    for (const known of [price, undefined]) {
      const { leg, span } = await legOf(new FakeModel("p/m", fails(refused)), {}, known);
      expect(leg).toEqual({
        upstream: "p/m",
        status: "failed",
        usage: { promptTokens: 0, completionTokens: 0 },
        usd: 0,
        estimated: false,
      });
      expect(span.status).toBe("failed");
    }
  });

  test("that failed after it was sent is billed for its prompt", async () => {
    const inner = leafThatFails(
      (span) => {
        span.sent = true;
      },
      new GatewayError("upstream_timeout", "too late"),
    );
    const { leg } = await legOf(inner);
    expect(leg).toEqual({
      upstream: "p/m",
      status: "failed",
      usage: { promptTokens: billed, completionTokens: 0 },
      usd: billed,
      estimated: true,
    });
  });

  test("that the upstream refused with a status costs nothing", async () => {
    const inner = leafThatFails(
      (span) => {
        span.sent = true;
      },
      new GatewayError("upstream_rate_limited", "slow down", { upstreamStatus: 429 }),
    );
    expect((await legOf(inner)).leg).toMatchObject({ status: "failed", usd: 0, estimated: false });
  });

  test("that was cut is billed for what it noted, with the prompt that it could not know", async () => {
    const inner = leafOf(async function* (call) {
      try {
        yield batch([{ type: "text", choice: 0, text: "so far" }]);
        yield batch([{ type: "text", choice: 0, text: " and on" }]);
      } finally {
        call.span.sent = true;
        call.span.estimated = true;
        call.span.usage = { promptTokens: 0, completionTokens: 7 };
      }
    });
    const call = newCall();
    await stopAfter(observeLeaf(inner, price).stream(request, call), "batch");
    expect(call.ledger.legs).toEqual([
      {
        upstream: "p/m",
        status: "cancelled",
        usage: { promptTokens: billed, completionTokens: 7 },
        usd: billed + 14,
        estimated: true,
      },
    ]);
    expect(call.span.status).toBe("lost");
  });

  test("that was cut after its usage had come is not an estimate", async () => {
    const inner = leafThatFails(
      (span) => {
        span.estimated = false;
        span.usage = usage;
      },
      new GatewayError("upstream_protocol", "no end"),
    );
    expect((await legOf(inner)).leg).toMatchObject({ status: "failed", usage, estimated: false });
  });

  test("is billed for what a model reads of a prompt, not for its JSON", async () => {
    const inner = leafThatFails(
      (span) => {
        span.sent = true;
      },
      new GatewayError("upstream_timeout", "too late"),
    );
    const tokensOf = async (fields: Parameters<typeof newRequest>[0]) => {
      const call = newCall();
      await read(observeLeaf(inner, price).stream(newRequest(fields), call));
      return call.ledger.legs[0]?.usage?.promptTokens ?? 0;
    };
    expect(await tokensOf({ messages: [{ role: "user", content: "x" }], temperature: 0.5, user: "u".repeat(400) })).toBe(5);
    expect(await tokensOf({ tools: [{ type: "function", function: { name: "f", description: "d".repeat(400) } }] })).toBeGreaterThan(100);
    const url = `data:image/png;base64,${"A".repeat(400_000)}`;
    const image = { type: "image_url", image_url: { url } };
    const file = { type: "file", file: { file_data: url } };
    for (const part of [image, file]) {
      const tokens = await tokensOf({ messages: [{ role: "user", content: [part] }] });
      expect([tokens > 500, tokens < 2000]).toEqual([true, true]);
    }
    expect(await tokensOf({ messages: [], prompt: "x".repeat(400) })).toBeGreaterThan(99);
  });

  test("that was aborted is cancelled, not failed", async () => {
    const controller = new AbortController();
    const call = newCall({ signal: controller.signal });
    const reading = read(observeLeaf(new FakeModel("p/m", { moves: ["stall"] }), price).stream(request, call));
    controller.abort(new GatewayError("cancelled", "outvoted"));
    expect((await reading).error?.code).toBe("cancelled");
    expect([call.ledger.legs[0]?.status, call.span.status]).toEqual(["cancelled", "lost"]);
  });

  test("whose consumer leaves at the finish is good", async () => {
    const call = newCall();
    await stopAfter(observeLeaf(new FakeModel("p/m", answer), price).stream(request, call), "finish");
    expect(call.ledger.legs).toEqual([{ upstream: "p/m", status: "ok", usage, usd: 20, estimated: false }]);
  });

  describe("holds its worst case", () => {
    const worst = { usd: prompt + 40, tokens: prompt + 20 };

    test("while it runs, and books what it was", async () => {
      const budget = openBudget({ usd: 1000, tokens: 1000 }, unbounded, "a");
      const call = newCall({ budget });
      const events = observeLeaf(new FakeModel("p/m", answer), price).stream(request, call);
      const stream = events[Symbol.asyncIterator]();
      await stream.next();
      expect(budget.allows({ usd: 1000 - worst.usd, tokens: 1000 - worst.tokens })).toBe(true);
      expect(budget.allows({ usd: 1000 - worst.usd + 0.1, tokens: 0 })).toBe(false);
      expect(budget.allows({ usd: 0, tokens: 1000 - worst.tokens + 1 })).toBe(false);
      while (!(await stream.next()).done);
      expect(budget.allows({ usd: 980, tokens: 985 })).toBe(true);
      expect(budget.allows({ usd: 980.1, tokens: 0 })).toBe(false);
    });

    test("and gives it back when it cost nothing", async () => {
      const budget = openBudget({ usd: worst.usd, tokens: worst.tokens }, unbounded, "a");
      await legOf(new FakeModel("p/m", fails(new GatewayError("upstream_unreachable", "away"))), {
        budget,
      });
      expect(budget.allows(worst)).toBe(true);
    });

    test("or is denied before it begins", async () => {
      const leaf = new FakeModel("p/m", answer);
      const { error, span } = await legOf(leaf, {
        budget: openBudget({ usd: worst.usd - 1 }, unbounded, "smart"),
      });
      expect([error?.code, leaf.calls.length, span.status]).toEqual(["budget_denied", 0, "failed"]);
    });

    test("from the request as it goes out: n choices, and the messages that a strategy put in", async () => {
      const held = async (given: typeof request) => {
        let tokens = 0;
        const budget = {
          allows: () => true,
          reserve: (worst: { readonly tokens: number }) => {
            tokens = worst.tokens;
            return { settle: () => {} };
          },
        };
        await read(observeLeaf(new FakeModel("p/m", answer), price).stream(given, newCall({ budget })));
        return tokens;
      };
      expect(await held(change(newRequest({ max_tokens: 20, n: 3 }), {}))).toBeGreaterThan(60);
      const long = await held(change(request, { messages: [{ role: "user", content: "x".repeat(4000) }] }));
      expect(long).toBeGreaterThan(1000);
      expect(long).toBeLessThan(1060);
      expect(await held(newRequest())).toBeGreaterThan(1024);
    });
  });
});

/** A stream that never says anything; who leaves it ends the read that is pending. */
class Silent implements AsyncIterableIterator<ModelEvent> {
  #reject: (error: Error) => void = () => {};

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ModelEvent>> {
    return new Promise((_, reject) => {
      this.#reject = reject;
    });
  }

  return(): Promise<IteratorResult<ModelEvent>> {
    this.#reject(new GatewayError("cancelled", "No longer needed."));
    return Promise.resolve({ done: true, value: undefined });
  }
}

test("a leg that is left while an event is awaited is booked once", async () => {
  const call = newCall();
  const leaf = observeLeaf({ name: "p/m", stream: () => new Silent() }, price);
  const events = leaf.stream(request, call)[Symbol.asyncIterator]();
  const pending = events.next();
  pending.catch(() => {});
  await events.return?.();
  await pending.catch(() => {});
  expect(call.ledger.legs).toHaveLength(1);
});

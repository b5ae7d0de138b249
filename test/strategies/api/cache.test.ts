import * as fc from "../../support/properties.ts";
import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import type { ModelEvent } from "../../../src/model/events.ts";
import type { Model } from "../../../src/model/model.ts";
import { chatRequest, readSource, type ChatBody } from "../../../src/model/request.ts";
import { memoryStore } from "../../../src/store/memory.ts";
import type { Store } from "../../../src/store/store.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock, settle } from "../../support/clock.ts";
import { FakeModel, fails, says, type Script, textIn } from "../../support/fake-model.ts";
import { read, type Reading } from "../../support/read.ts";

const down = new GatewayError("upstream_error", "It failed.", { upstream: "a" });
const gone = new GatewayError("client_closed", "The client has left.");

/** Each answer tells which call it was. */
function counted(count = 5): readonly Script[] {
  return Array.from({ length: count }, (_, i) => ({
    moves: [{ text: `Answer ${i + 1}` }],
    usage: { promptTokens: 7, completionTokens: 2 },
  }));
}

const slow = (text: string, ms = 1000): Script => ({ moves: [{ waitMs: ms }, { text }] });

interface Given {
  readonly options?: object;
  readonly scripts?: readonly Script[];
  readonly store?: Store;
}

/** A cache over one scripted model, which lives on over many requests. */
class Cached {
  readonly clock: ManualClock = manualClock();
  readonly fake: FakeModel;
  readonly #model: Model;

  constructor({ options = {}, scripts = counted(), store = memoryStore() }: Given = {}) {
    this.fake = new FakeModel("a", ...scripts);
    this.#model = buildNode({ kind: "cache", model: "a", ...options }, () => this.fake, strategies, { store });
  }

  call(given: Partial<Call> = {}): Call {
    return newCall({ clock: this.clock, ...given });
  }

  stream(fields: Partial<ChatBody> = {}, call = this.call()): AsyncIterable<ModelEvent> {
    return this.#model.stream(newRequest(fields), call);
  }

  read(fields: Partial<ChatBody> = {}, call = this.call()): Promise<Reading> {
    return this.clock.drive(read(this.stream(fields, call)));
  }

  /** What a request got, and how. */
  async ask(fields: Partial<ChatBody> = {}, given: Partial<Call> = {}): Promise<string> {
    const call = this.call(given);
    const { events, error } = await this.read(fields, call);
    return `${how(call)}: ${error ? error.code : textIn(events)}`;
  }

  get asked(): number {
    return this.fake.calls.length;
  }
}

function how({ span }: Call): string {
  const cache = span.decision?.["cache"];
  return typeof cache === "string" ? cache : "none";
}

describe("cache", () => {
  test("asks once for the same request", async () => {
    const cached = new Cached();
    expect([await cached.ask(), await cached.ask(), await cached.ask()]).toEqual(["miss: Answer 1", "hit: Answer 1", "hit: Answer 1"]);
    expect(cached.asked).toBe(1);
  });

  test("a miss streams as the model does", async () => {
    const direct = await read(new FakeModel("a", says("Hel", "lo")).stream(newRequest(), newCall()));
    expect((await new Cached({ scripts: [says("Hel", "lo")] }).read()).events).toEqual(direct.events);
  });

  test("a hit comes in one go, whether it is streamed or whole", async () => {
    const cached = new Cached({ scripts: [says("Hel", "lo", "!")] });
    await cached.ask();
    const streamed = await cached.read();
    expect(streamed.events.map(({ type }) => type)).toEqual(["batch", "finish"]);
    const whole = await cached.read({}, cached.call({ delivery: "unary" }));
    expect(whole.events.map(({ type }) => type)).toEqual(["finish"]);
    expect([textIn(streamed.events), textIn(whole.events), cached.asked]).toEqual(["Hello!", "Hello!", 1]);
  });

  test("the usage of a hit is zero, and the trace says what was saved", async () => {
    const cached = new Cached();
    await cached.ask();
    for (const delivery of ["stream", "unary"] as const) {
      const call = cached.call({ delivery });
      const last = (await cached.read({}, call)).events.at(-1);
      const free = { promptTokens: 0, completionTokens: 0 };
      expect(last).toMatchObject({ type: "finish", usage: free, ...(delivery === "unary" ? { completion: { usage: free } } : {}) });
      expect(call.span.decision).toEqual({ cache: "hit", ageMs: 0, saved: { promptTokens: 7, completionTokens: 2 } });
      expect(call.ledger.legs).toEqual([]);
    }
  });

  test("keeps all of an answer: choices, log-probabilities, thoughts, the agreement behind it", async () => {
    const script: Script = { moves: [{ reasoning: "Hm." }, { text: "Yes", logprobs: [-0.5] }], agreement: 0.75 };
    const cached = new Cached({ scripts: [script] });
    const whole = { delivery: "unary" } as const;
    const first = await cached.read({ n: 2, logprobs: true }, cached.call(whole));
    const again = await cached.read({ n: 2, logprobs: true }, cached.call(whole));
    const choices = ({ events }: Reading) =>
      events.flatMap((event) => (event.type === "finish" ? [event.completion?.choices, event.agreement] : []));
    expect(choices(again)).toEqual(choices(first));
    expect(choices(again)[1]).toBe(0.75);
  });

  test("forgets after its time", async () => {
    const cached = new Cached({ options: { ttlSeconds: 60 } });
    await cached.ask();
    await cached.clock.advance(59_999);
    expect(await cached.ask()).toBe("hit: Answer 1");
    await cached.clock.advance(1);
    expect(await cached.ask()).toBe("miss: Answer 2");
  });

  test("forgets when its version changes, and knows nothing of another node's answers", async () => {
    const store = memoryStore();
    expect(await new Cached({ store }).ask()).toBe("miss: Answer 1");
    expect(await new Cached({ store }).ask()).toBe("hit: Answer 1");
    expect(await new Cached({ store, options: { version: "2" } }).ask()).toBe("miss: Answer 1");
    expect(await new Cached({ store, options: { model: "b" } }).ask()).toBe("miss: Answer 1");
  });

  test("is planned as nothing at best", () => {
    const { plan } = planNode({ kind: "cache", model: { kind: "vote", members: ["a", "b", "c"] } }, strategies);
    expect(plan).toMatchObject({ calls: [0, 3], depth: 1, tail: "none", agreement: true });
  });
});

describe("the same request", () => {
  const hits = async (first: Partial<ChatBody>, second: Partial<ChatBody>) => {
    const cached = new Cached();
    await cached.ask(first);
    return (await cached.ask(second)).startsWith("hit");
  };

  test.for<readonly [string, Partial<ChatBody>, Partial<ChatBody>]>([
    ["whether it streams", { stream: true, stream_options: { include_usage: true } }, {}],
    ["who the user is, for one key", { user: "u1", safety_identifier: "s", metadata: { a: "b" } }, { user: "u2" }],
    ["what the gateway is to tell", { chorale: { expose: "full" } }, {}],
    ["an explicit null and a default", { temperature: null, n: 1, logprobs: false }, {}],
    ["the order of keys", { seed: 1, logit_bias: { "1": 2, "3": 4 } }, { logit_bias: { "3": 4, "1": 2 }, seed: 1 }],
  ])("%s makes no difference", async ([, one, other]) => expect(await hits(one, other)).toBe(true));

  test.for<readonly [string, Partial<ChatBody>, Partial<ChatBody>]>([
    ["the messages", { messages: [{ role: "user", content: "a" }] }, { messages: [{ role: "user", content: "b" }] }],
    ["a role", { messages: [{ role: "user", content: "a" }] }, { messages: [{ role: "system", content: "a" }] }],
    ["the order of messages", { stop: ["a", "b"] }, { stop: ["b", "a"] }],
    ["the temperature", { temperature: 0 }, {}],
    ["the seed", { seed: 1 }, { seed: 2 }],
    ["a limit", { max_tokens: 5 }, { max_completion_tokens: 5 }],
    ["the number of choices", { n: 2 }, {}],
    ["a schema", { response_format: { type: "json_object" } }, {}],
    ["a field that nobody here knows", { top_k: 1 }, { top_k: 2 }],
    ["the type of a value", { logit_bias: { "1": 2 } }, { logit_bias: { "1": "2" } }],
    ["where one text ends", { a: "b", c: "d" }, { a: 'b","c":"d' }],
  ])("%s makes one", async ([, one, other]) => expect(await hits(one, other)).toBe(false));

  test("seeds beyond 2^53 are told apart by their digits", async () => {
    const cached = new Cached();
    const ask = async (seed: string) => {
      const { body, source } = readSource(Buffer.from(`{"model":"smart","messages":[{"role":"user","content":"Hi"}],"seed":${seed}}`));
      const model = buildNode({ kind: "cache", model: "a" }, () => cached.fake, strategies, { store });
      return textIn((await read(model.stream(chatRequest(body as ChatBody, source), newCall()))).events);
    };
    const store = memoryStore();
    expect([await ask("9007199254740993"), await ask("9007199254740992"), await ask("9007199254740993")]).toEqual([
      "Answer 1",
      "Answer 2",
      "Answer 1",
    ]);
  });
});

describe("partitions", () => {
  test("one key never gets what another's request was answered", async () => {
    const cached = new Cached();
    expect(await cached.ask({}, { principal: { name: "one" } })).toBe("miss: Answer 1");
    expect(await cached.ask({}, { principal: { name: "two" } })).toBe("miss: Answer 2");
  });

  test("nor waits for it", async () => {
    const cached = new Cached({ scripts: [slow("One"), slow("Two")] });
    const calls = ["one", "two"].map((name) => cached.call({ principal: { name } }));
    await cached.clock.drive(Promise.all(calls.map((call) => read(cached.stream({}, call)))));
    expect([cached.asked, calls.map(how)]).toEqual([2, ["miss", "miss"]]);
  });

  test("`share: true` is one cache for all", async () => {
    const cached = new Cached({ options: { share: true } });
    await cached.ask({}, { principal: { name: "one" } });
    expect(await cached.ask({}, { principal: { name: "two" } })).toBe("hit: Answer 1");
  });
});

describe("requests at once", () => {
  const together = async (cached: Cached, count: number, given: (index: number) => Partial<Call> = () => ({})) => {
    const calls = Array.from({ length: count }, (_, index) => cached.call(given(index)));
    const readings = await cached.clock.drive(Promise.all(calls.map((call) => read(cached.stream({}, call)))));
    return readings.map(({ events, error }, index) => `${how(calls[index]!)}: ${error ? error.code : textIn(events)}`);
  };

  test("are asked once; the others share the answer", async () => {
    const cached = new Cached({ scripts: [slow("One"), slow("Two")] });
    expect(await together(cached, 4)).toEqual(["miss: One", "shared: One", "shared: One", "shared: One"]);
    expect(cached.asked).toBe(1);
  });

  test("a stream and a whole answer share one", async () => {
    const cached = new Cached({ scripts: [slow("One"), slow("Two")] });
    expect(await together(cached, 2, (index) => ({ delivery: index === 0 ? "unary" : "stream" }))).toEqual(["miss: One", "shared: One"]);
  });

  test("when the one that asks fails, the next asks, and the rest wait for that", async () => {
    const cached = new Cached({ scripts: [{ moves: [{ waitMs: 500 }, { fail: down }] }, slow("Two")] });
    expect(await together(cached, 3)).toEqual(["miss: upstream_error", "miss: Two", "shared: Two"]);
    expect(cached.asked).toBe(2);
  });

  test("when the client of the one that asks leaves, the next asks", async () => {
    const controller = new AbortController();
    const cached = new Cached({ scripts: [slow("One"), slow("Two")] });
    void cached.clock.timer(500, () => controller.abort(gone));
    const answers = await together(cached, 3, (index) => (index === 0 ? { signal: controller.signal } : {}));
    expect(answers).toEqual(["miss: client_closed", "miss: Two", "shared: Two"]);
  });

  test("when the consumer of the one that asks stops early, the next asks", async () => {
    const cached = new Cached({ scripts: [says("One", "Two"), says("Three")] });
    const iterator = cached.stream()[Symbol.asyncIterator]();
    await cached.clock.drive(iterator.next());
    await cached.clock.drive(iterator.next());
    const call = cached.call();
    const waiting = read(cached.stream({}, call));
    await settle();
    expect(cached.asked).toBe(1);
    await iterator.return?.();
    expect([textIn((await waiting).events), how(call)]).toEqual(["Three", "miss"]);
  });

  test("one that waits and is aborted leaves alone, at once", async () => {
    const controller = new AbortController();
    const cached = new Cached({ scripts: [slow("One")] });
    void cached.clock.timer(300, () => controller.abort(gone));
    const answers = await together(cached, 3, (index) => (index === 1 ? { signal: controller.signal } : {}));
    expect(answers).toEqual(["miss: One", "none: client_closed", "shared: One"]);
  });

  test("one does not wait for ever: a slow reader in front is passed", async () => {
    const cached = new Cached({ options: { waitMs: 2000 }, scripts: [says("One", "Two"), says("Three")] });
    const iterator = cached.stream()[Symbol.asyncIterator]();
    await cached.clock.drive(iterator.next());
    expect([await cached.ask(), cached.clock.now()]).toEqual(["bypass: Three", 2000]);
    await iterator.return?.();
  });

  test("an answer that is for nobody else lets all ask for themselves", async () => {
    const cut: Script = { moves: [{ waitMs: 100 }, { text: "One" }], end: "length" };
    const cached = new Cached({ scripts: [cut, slow("Two"), slow("Three")] });
    expect(await together(cached, 3)).toEqual(["miss: One", "bypass: Two", "bypass: Three"]);
  });
});

describe("any crowd", () => {
  const script = fc.oneof(
    fc.record({ ms: fc.integer({ min: 0, max: 50 }) }).map(({ ms }) => slow("One", ms)),
    fc.record({ ms: fc.integer({ min: 0, max: 50 }) }).map(({ ms }): Script => ({ moves: [{ waitMs: ms }, { fail: down }] })),
  );
  const client = fc.record({
    comesMs: fc.integer({ min: 0, max: 60 }),
    leavesMs: fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined }),
    stops: fc.boolean(),
    delivery: fc.constantFrom("stream" as const, "unary" as const, "metered" as const),
  });

  test("asks once at a time, answers everybody who stays and leaves nothing behind", async () => {
    const holds = async (scripts: readonly Script[], clients: readonly (typeof client extends fc.Arbitrary<infer T> ? T : never)[]) => {
      const cached = new Cached({ scripts: [...scripts, slow("Last", 5)] });
      let most = 0;
      const visit = async ({ comesMs, leavesMs, stops, delivery }: (typeof clients)[number]) => {
        const controller = new AbortController();
        await new Promise<void>((resolve) => void cached.clock.timer(comesMs, resolve));
        using _leave = leavesMs === undefined ? undefined : cached.clock.timer(leavesMs, () => controller.abort(gone));
        const iterator = cached.stream({}, cached.call({ signal: controller.signal, delivery }))[Symbol.asyncIterator]();
        try {
          for (;;) {
            const next = await iterator.next();
            most = Math.max(most, cached.fake.open);
            if (next.done) return "answered";
            if (stops && next.value.type === "batch") {
              await iterator.return?.();
              return "stopped";
            }
          }
        } catch (thrown) {
          return (thrown as GatewayError).code;
        }
      };
      const ends = await cached.clock.drive(Promise.all(clients.map(visit)));
      expect(most).toBeLessThanOrEqual(1);
      expect([cached.fake.open, cached.clock.pending]).toEqual([0, 0]);
      const failed = ends.filter((end) => end === "upstream_error").length;
      expect(failed).toBeLessThanOrEqual(scripts.length);
      for (const [index, end] of ends.entries()) if (end === "client_closed") expect(clients[index]?.leavesMs).toBeDefined();
    };
    const crowd = fc.asyncProperty(fc.array(script, { maxLength: 3 }), fc.array(client, { minLength: 1, maxLength: 6 }), holds);
    await fc.assert(crowd, { numRuns: 200 });
  });
});

describe("what is not kept", () => {
  const kept = async (script: Script, fields: Partial<ChatBody> = {}, options: object = {}) => {
    const cached = new Cached({ scripts: [script, says("Other")], options });
    await cached.ask(fields);
    return (await cached.ask(fields)).startsWith("hit");
  };

  test.for<readonly [string, Script]>([
    ["an error", fails(down)],
    ["a stream that broke", { moves: [{ text: "Hel" }, { fail: down }] }],
    ["an answer that was cut", { moves: [{ text: "Hel" }], end: "length" }],
    ["a filtered answer", { moves: [{ text: "Hel" }], end: "content_filter" }],
    ["a refusal", { moves: [{ refusal: "I will not." }] }],
    ["an empty answer", { moves: [] }],
  ])("%s", async ([, script]) => expect(await kept(script)).toBe(false));

  test("but what was cut at the client's own limit is what it asked for", async () => {
    expect(await kept({ moves: [{ text: "Hel" }], end: "length" }, { max_tokens: 1 })).toBe(true);
  });

  test("an answer that is too large, streamed or whole", async () => {
    const options = { maxBytes: 300 };
    expect(await kept(says("x".repeat(50)), {}, options)).toBe(true);
    expect(await kept(says("x".repeat(200)), {}, options)).toBe(false);
    expect(await kept(says("x".repeat(200), "x".repeat(200)), {}, options)).toBe(false);
  });

  test("an answer of a lower kind than configured", async () => {
    const degrading: Model = {
      name: "a",
      async *stream(request, call) {
        call.trace.degraded.push("writer: it failed");
        yield* new FakeModel("a").stream(request, call);
      },
    };
    const model = buildNode({ kind: "cache", model: "a" }, () => degrading, strategies);
    const calls = [newCall(), newCall()];
    for (const call of calls) await read(model.stream(newRequest(), call));
    expect(calls.map((call) => call.span.decision)).toEqual([
      { cache: "miss", unkept: "it is degraded" },
      { cache: "miss", unkept: "it is degraded" },
    ]);
  });

  test("a turn that offers tools, unless it may", async () => {
    const tools = [{ type: "function", function: { name: "add" } }];
    const adds: Script = { moves: [{ tool: { id: "call_1", name: "add", arguments: "{}" } }] };
    expect(await kept(adds, { tools })).toBe(false);
    expect(await kept(adds, { tools }, { toolTurns: true })).toBe(true);
    expect(await kept(says("Hi"), { tools, tool_choice: "none" })).toBe(true);
  });

  test("a sampled answer, where only what repeats is to be kept", async () => {
    const options = { sampled: false };
    expect(await kept(says("Hi"), {}, options)).toBe(false);
    expect(await kept(says("Hi"), { temperature: 0.5 }, options)).toBe(false);
    expect(await kept(says("Hi"), { temperature: 0 }, options)).toBe(true);
    expect(await kept(says("Hi"), { seed: 7 }, options)).toBe(true);
  });
});

describe("a request may forbid it", () => {
  test("no-store is answered anew, and nobody gets that answer", async () => {
    const cached = new Cached();
    expect(await cached.ask({}, { caching: "no-store" })).toBe("bypass: Answer 1");
    expect(await cached.ask()).toBe("miss: Answer 2");
    expect(await cached.ask({}, { caching: "no-store" })).toBe("bypass: Answer 3");
    expect(await cached.ask()).toBe("hit: Answer 2");
  });

  test("no-cache is answered anew, and that is kept", async () => {
    const cached = new Cached();
    await cached.ask();
    expect(await cached.ask({}, { caching: "no-cache" })).toBe("refresh: Answer 2");
    expect(await cached.ask()).toBe("hit: Answer 2");
  });

  test.for([
    ["no-store", "bypass"],
    ["max-age=0, No-Store", "bypass"],
    ["no-cache", "refresh"],
    ["no-cache, no-store", "bypass"],
    ["max-age=60", "hit"],
    ["x-no-store-ish", "hit"],
  ])("the header `cache-control: %s` makes it a %s", async ([value, outcome]) => {
    const cached = new Cached();
    await cached.ask();
    const header = (name: string) => (name === "cache-control" ? value : undefined);
    expect(await cached.ask({}, { header })).toMatch(new RegExp(`^${outcome}:`));
  });
});

test("of the field and the header the stricter counts", async () => {
  const cached = new Cached();
  expect(await cached.ask({}, { caching: "no-cache", header: () => "no-store" })).toBe("bypass: Answer 1");
  expect(await cached.ask({}, { caching: "no-store", header: () => "no-cache" })).toBe("bypass: Answer 2");
});

test("what was saved is the sum over all legs, not the winner's", async () => {
  const leg = (name: string): Model => ({
    name,
    async *stream(request, call) {
      call.span.upstream = name;
      call.span.usage = { promptTokens: 10, completionTokens: 1 };
      yield* new FakeModel(name, says("4")).stream(request, call);
    },
  });
  const model = buildNode({ kind: "cache", model: { kind: "vote", members: ["a", "b", "c"], stop: "none" } }, leg, strategies);
  const calls = [newCall(), newCall()];
  for (const call of calls) await read(model.stream(newRequest(), call));
  expect(calls[1]?.span.decision).toMatchObject({ cache: "hit", saved: { promptTokens: 30, completionTokens: 3 } });
});

test("samples of one model over a cache are not one answer", async () => {
  const fake = new FakeModel("a", ...counted());
  const node = { kind: "vote", members: [{ model: { kind: "cache", model: "a" }, samples: 3 }], stop: "none" };
  let draws = 0;
  const random = () => (draws += 0.1);
  await read(buildNode(node, () => fake, strategies).stream(newRequest(), newCall({ random })));
  expect(fake.calls.length).toBe(3);
});

describe("an early refresh", () => {
  const times = { options: { earlyRefresh: true, ttlSeconds: 60 }, scripts: [slow("One", 2000), slow("Two", 2000), slow("Three", 2000)] };

  test("is likelier the nearer the end is: 2 s of work, drawn to -ln(0.1) = 2.3 times that", async () => {
    const cached = new Cached(times);
    await cached.ask();
    await cached.clock.advance(55_000);
    expect(await cached.ask({}, { random: () => 0.9 })).toBe("hit: One");
    await cached.clock.advance(500);
    expect(await cached.ask({}, { random: () => 0.9 })).toBe("refresh: Two");
    expect(await cached.ask({}, { random: () => 0.9 })).toBe("hit: Two");
  });

  test("is one request's; the others get the old answer meanwhile", async () => {
    const cached = new Cached(times);
    await cached.ask();
    await cached.clock.advance(59_000);
    const calls = [0.9, 0, 0].map((draw) => cached.call({ random: () => draw }));
    const readings = await cached.clock.drive(Promise.all(calls.map((call) => read(cached.stream({}, call)))));
    expect(readings.map(({ events }) => textIn(events))).toEqual(["Two", "One", "One"]);
    expect(calls.map(how)).toEqual(["refresh", "hit", "hit"]);
  });
});

describe("a store", () => {
  test("that fails is told in the log, and the model is asked", async () => {
    const warnings: string[] = [];
    const broken: Store = { ...memoryStore(), get: () => Promise.reject(new Error("gone")), set: () => Promise.reject(new Error("gone")) };
    const cached = new Cached({ store: broken });
    const log = { warn: (_: unknown, message: string) => void warnings.push(message) };
    expect(await cached.ask({}, { log })).toBe("miss: Answer 1");
    expect(await cached.ask({}, { log })).toBe("miss: Answer 2");
    expect(warnings.slice(0, 2)).toEqual(["the cache could not be read", "the cache could not be written"]);
  });

  test.for(["", "null", "{", '{"version":0,"choices":[]}', '{"version":1}'])(
    "a value of another version or none is a miss: %s",
    async (value) => {
      const store: Store = { ...memoryStore(), get: () => Promise.resolve(value) };
      expect(await new Cached({ store }).ask()).toBe("miss: Answer 1");
    },
  );
});

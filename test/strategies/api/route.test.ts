import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/model/call.ts";
import { GatewayError } from "../../../src/model/errors.ts";
import type { ChatBody, Message } from "../../../src/model/request.ts";
import type { RouterTableFile } from "../../../src/panel/route/table.ts";
import { memoryStore } from "../../../src/store/memory.ts";
import { OptionError } from "../../../src/strategies/define.ts";
import { strategies } from "../../../src/strategies/registry.ts";
import { buildNode, planNode, type Surroundings } from "../../support/build.ts";
import { newCall, newRequest } from "../../support/call.ts";
import { type ManualClock, manualClock } from "../../support/clock.ts";
import { FakeModel, fails, says, type Script, textIn } from "../../support/fake-model.ts";
import { read } from "../../support/read.ts";

const down = fails(new GatewayError("upstream_error", "It failed.", { upstream: "router" }));

type Scripts = Readonly<Record<string, Script | readonly Script[]>>;

function scriptsOf(given: Script | readonly Script[] | undefined, name: string): readonly Script[] {
  if (given === undefined) return [says(`from ${name}`)];
  return "moves" in given ? [given] : given;
}

/** A route that was built, and everything that its models were asked. */
class Routing {
  readonly clock: ManualClock = manualClock();
  readonly models = new Map<string, FakeModel>();
  readonly #model;

  constructor(options: object, scripts: Scripts = {}, around: Surroundings = {}) {
    const leaf = (name: string) => {
      const model = this.models.get(name) ?? new FakeModel(name, ...scriptsOf(scripts[name], name));
      this.models.set(name, model);
      return model;
    };
    this.#model = buildNode({ kind: "route", ...options }, leaf, strategies, around);
  }

  async ask(fields: Partial<ChatBody> = {}, given: Partial<Call> = {}) {
    const call = newCall({ clock: this.clock, ...given });
    const { events, error } = await this.clock.drive(read(this.#model.stream(newRequest(fields), call)));
    return { text: textIn(events), error, call };
  }

  calls(name: string): number {
    return this.models.get(name)?.calls.length ?? 0;
  }

  /** The texts of the embedder's calls. */
  embedded(name: string): readonly unknown[] {
    return (this.models.get(name)?.requests ?? []).map(({ body }) => body["input"]);
  }
}

function user(content: unknown): Partial<ChatBody> {
  return { messages: [{ role: "user", content }] };
}

const tool = { type: "function", function: { name: "add", parameters: { type: "object" } } };

const call: Message = {
  role: "assistant",
  content: null,
  tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: "{}" } }],
};
const result: Message = { role: "tool", tool_call_id: "call_1", content: "Please prove it in detail." };

function refusal(options: object, around: Surroundings = {}): OptionError {
  try {
    void new Routing(options, {}, around);
  } catch (thrown) {
    if (thrown instanceof OptionError) return thrown;
    throw thrown;
  }
  throw new Error("the options were accepted");
}

describe("by rules", () => {
  const ruled = (when: object) => new Routing({ by: "rules", rules: [{ when, model: "a" }], else: "c" });

  test.for<readonly [string, object, Partial<ChatBody>, string]>([
    ["size", { tokens: { min: 100 } }, user("word ".repeat(100)), "a"],
    ["size", { tokens: { min: 100 } }, user("word"), "c"],
    ["size", { tokens: { max: 50 } }, user("word"), "a"],
    ["language", { language: "de" }, user("Wie ist das Wetter und was kann ich tun?"), "a"],
    ["language", { language: "de" }, user("What is the weather and what can I do?"), "c"],
    ["language", { language: ["ja", "zh"] }, user("今日の天気はどうですか"), "a"],
    ["tools", { tools: true }, { tools: [tool] }, "a"],
    ["tools", { tools: true }, {}, "c"],
    ["tools", { tools: false }, { tools: [tool], tool_choice: "none" }, "a"],
    ["images", { images: true }, user([{ type: "image_url", image_url: { url: "data:," } }]), "a"],
    ["images", { images: true }, user([{ type: "text", text: "image_url" }]), "c"],
    ["schema", { schema: true }, { response_format: { type: "json_object" } }, "a"],
    ["schema", { schema: true }, { response_format: { type: "text" } }, "c"],
    ["a pattern", { text: "\\bprove\\b" }, user("Prove it."), "a"],
    ["a pattern", { text: "\\bprove\\b" }, user("Improve it."), "c"],
    ["all conditions", { text: "prove", tools: true }, user("Prove it."), "c"],
  ])("looks at %s: %j", async ([, when, fields, expected]) => {
    expect((await ruled(when).ask(fields)).text).toBe(`from ${expected}`);
  });

  test("looks at the key and at the client's headers", async () => {
    const rules = [
      { when: { key: ["team-b", "team-c"] }, model: "a" },
      { when: { header: { "x-tier": ["gold"] } }, model: "b" },
    ];
    const route = new Routing({ by: "rules", rules, else: "c" });
    const header = (name: string) => (name === "x-tier" ? "gold" : undefined);
    expect((await route.ask({}, { principal: { name: "team-b" } })).text).toBe("from a");
    expect((await route.ask({}, { header })).text).toBe("from b");
    expect((await route.ask({}, { header: () => undefined })).text).toBe("from c");
    expect((await route.ask()).text).toBe("from c");
  });

  test("takes the first rule that holds, asks nobody else and tells which", async () => {
    const rules = [
      { when: { text: "x" }, model: "a" },
      { when: { text: "x" }, model: "b" },
    ];
    const route = new Routing({ by: "rules", rules, else: "c" });
    const { call: made } = await route.ask(user("x"));
    expect(made.span.decision).toEqual({ by: "rules", chosen: "a", rule: 1 });
    expect([route.calls("b"), route.calls("c")]).toEqual([0, 0]);
    expect((await route.ask(user("y"))).call.span.decision).toEqual({ by: "rules", chosen: "c", rule: "else" });
  });

  test("hands the request on as it came", async () => {
    const route = ruled({ text: "2" });
    await route.ask({ seed: 5, tools: [tool] });
    expect(route.models.get("a")?.requests[0]?.edits).toEqual({});
  });

  test("all turns of an agent's loop go the way of its first", async () => {
    const route = ruled({ text: "prove" });
    const [question] = user("Add.").messages ?? [];
    const turns = [[question], [question, call, result], [question, call, result, call, result]] as readonly (readonly Message[])[];
    for (const messages of turns) expect((await route.ask({ messages, tools: [tool] })).text).toBe("from c");
  });

  test("a new question is decided anew, unless the whole conversation is to stay", async () => {
    const rules = [{ when: { text: "prove" }, model: "a" }];
    const messages = [
      { role: "user", content: "Hello" },
      { role: "assistant", content: "Hi" },
      { role: "user", content: "Prove it." },
    ];
    expect((await new Routing({ by: "rules", rules, else: "c" }).ask({ messages })).text).toBe("from a");
    expect((await new Routing({ by: "rules", rules, else: "c", on: "conversation" }).ask({ messages })).text).toBe("from c");
  });

  test("a pattern that backtracks does not stop the process", async () => {
    const { text, call: made } = await ruled({ text: "(a+)+$" }).ask(user(`${"a".repeat(60)}b`));
    expect(text).toBe("from c");
    expect(made.trace.warnings).toEqual(['route: the pattern "(a+)+$" took too long, so its rule did not hold']);
  });

  test("the chosen model's failure is the client's: nobody else is asked", async () => {
    const route = new Routing({ by: "rules", rules: [{ when: { text: "2" }, model: "a" }], else: "c" }, { a: down });
    expect((await route.ask()).error?.code).toBe("upstream_error");
    expect(route.calls("c")).toBe(0);
  });
});

describe("by prompt", () => {
  const options = {
    by: "prompt",
    router: "r",
    members: [
      { model: "a", description: "Arithmetic." },
      { model: "b", description: "Poems." },
    ],
    else: "c",
  };

  test("the model under the router's letter answers", async () => {
    const route = new Routing(options, { r: says('{"model":"B"}') });
    const { text, call: made } = await route.ask();
    expect(text).toBe("from b");
    expect(made.span.decision).toEqual({ by: "prompt", chosen: "b", label: "B" });
    expect(made.trace.degraded).toEqual([]);
  });

  test("the router sees descriptions and no names, and none of what shapes the client's answer", async () => {
    const named = {
      ...options,
      members: [
        { model: "a", name: "secret-one", description: "Arithmetic." },
        { model: "b", name: "secret-two", description: "Poems." },
      ],
    };
    const route = new Routing(named, { r: says("A") });
    await route.ask({ response_format: { type: "json_object" }, tools: [tool], n: 2, logprobs: true, max_tokens: 3 });
    const body = route.models.get("r")?.requests[0]?.body;
    expect(body).not.toMatchObject({ tools: expect.anything() as unknown });
    expect([body?.n, body?.logprobs, body?.max_tokens]).toEqual([undefined, undefined, undefined]);
    expect(body?.response_format).toMatchObject({ type: "json_schema" });
    const last = JSON.stringify(body?.messages.at(-1));
    expect(last).toContain("A: Arithmetic.");
    expect(last).not.toContain("secret");
  });

  test("a reply that can not be read costs one retry, then `else` answers and it is told", async () => {
    const once = new Routing(options, { r: [says("Hm."), says("B")] });
    expect((await once.ask()).text).toBe("from b");
    expect(once.calls("r")).toBe(2);
    const never = new Routing(options, { r: says("I would take the best one.") });
    const { text, call: made } = await never.ask();
    expect(text).toBe("from c");
    expect(never.calls("r")).toBe(2);
    expect(made.trace.degraded).toEqual(["route: router: no verdict, so c answers"]);
  });

  test("a router that is down sends everybody to `else`, or to the first member without one", async () => {
    expect((await new Routing(options, { r: down }).ask()).text).toBe("from c");
    const { else: _, ...without } = options;
    expect((await new Routing(without, { r: down }).ask()).text).toBe("from a");
  });

  test("a router that says nothing is not waited for", async () => {
    const route = new Routing({ ...options, deadlineMs: 500 }, { r: { moves: ["stall"] } });
    const { text, call: made } = await route.ask();
    expect(text).toBe("from c");
    expect(route.clock.now()).toBe(500);
    expect(made.trace.degraded).toEqual(["route: router: deadline, so c answers"]);
  });

  test("a budget without room for the router leaves the answer to `else`", async () => {
    const denied = fails(new GatewayError("budget_denied", "No room."));
    const { text, call: made } = await new Routing(options, { r: denied }).ask();
    expect(text).toBe("from c");
    expect(made.trace.degraded).toEqual(["route: router: budget_denied, so c answers"]);
  });

  test("a letter that nobody has is no choice", async () => {
    expect((await new Routing(options, { r: says('{"model":"C"}') }).ask()).text).toBe("from c");
  });

  test("decides once for all turns of a loop, however the router wavers", async () => {
    const route = new Routing(options, { r: [says("A"), says("B")] });
    const [question] = user("Add.").messages ?? [];
    expect((await route.ask({ messages: [question] as Message[], tools: [tool] })).text).toBe("from a");
    const { text, call: made } = await route.ask({ messages: [question, call, result] as Message[], tools: [tool] });
    expect(text).toBe("from a");
    expect(made.span.decision).toMatchObject({ chosen: "a", remembered: true });
    expect(route.calls("r")).toBe(1);
  });

  test("a default is kept for the loop too", async () => {
    const route = new Routing(options, { r: [down, says("B")] });
    expect((await route.ask()).text).toBe("from c");
    const { text, call: made } = await route.ask();
    expect(text).toBe("from c");
    expect(made.trace.degraded).toHaveLength(1);
  });

  test("decisions are apart for each key, for each question, and end with their time", async () => {
    const route = new Routing({ ...options, ttlSeconds: 60 }, { r: says("A") });
    await route.ask();
    await route.ask({}, { principal: { name: "team-b" } });
    await route.ask(user("Another one?"));
    expect(route.calls("r")).toBe(3);
    await route.clock.advance(61_000);
    await route.ask();
    expect(route.calls("r")).toBe(4);
    const forgetful = new Routing({ ...options, ttlSeconds: 0 }, { r: says("A") });
    await forgetful.ask();
    await forgetful.ask();
    expect(forgetful.calls("r")).toBe(2);
  });

  test("with other descriptions it is another decision", async () => {
    const store = memoryStore();
    await new Routing(options, { r: says("A") }, { store }).ask();
    const [first, second] = options.members;
    const changed = { ...options, members: [first, { ...second, description: "Sonnets." }] };
    expect((await new Routing(changed, { r: says("B") }, { store }).ask()).text).toBe("from b");
  });
});

describe("by embedding", () => {
  const labelled = [
    { text: "write a poem about the sea", scores: { a: 0.2, b: 0.9 } },
    { text: "write a poem about love", scores: { a: 0.4, b: 0.8 } },
    { text: "compute the sum of two numbers", scores: { a: 1, b: 0.3 } },
    { text: "compute the product of numbers", scores: { a: 0.9, b: 0.1 } },
  ];
  const options = { by: "embedding", members: ["a", "b"], embedder: "e", labelled, k: 2 };

  test("the member with the best mean over the nearest texts answers", async () => {
    const route = new Routing(options);
    const { text, call: made } = await route.ask(user("write a poem about the moon"));
    expect(text).toBe("from b");
    // By hand: the two poems are nearest, (0.2 + 0.4) / 2 and (0.9 + 0.8) / 2.
    expect(made.span.decision).toEqual({ by: "embedding", chosen: "b", values: [0.3, 0.85] });
    const sums = await route.ask(user("compute the sum of numbers"));
    expect(sums.text).toBe("from a");
    expect(sums.call.span.decision).toMatchObject({ values: [0.95, 0.2] });
  });

  test("the labelled texts are embedded once, with the first question", async () => {
    const route = new Routing(options);
    await route.ask(user("one"));
    await route.ask(user("two"));
    expect(route.embedded("e")).toEqual([["one", ...labelled.map(({ text }) => text)], ["two"]]);
  });

  test("requests at the same time wait for the one that embeds them", async () => {
    const route = new Routing(options, { e: { moves: [{ waitMs: 100 }, { text: "x" }] } });
    const answers = await Promise.all(["one", "two", "three"].map((content) => route.ask(user(content))));
    expect(answers.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    expect(route.embedded("e").map((texts) => (texts as string[]).length)).toEqual([5, 1, 1]);
  });

  test("another request takes over when the one that embeds them is cancelled", async () => {
    const route = new Routing(options, { e: [{ moves: ["stall"] }, says("x")] });
    const controller = new AbortController();
    route.clock.timer(50, () => controller.abort(new GatewayError("client_closed", "The client has left.")));
    const [left, stayed] = await Promise.all([route.ask(user("one"), { signal: controller.signal }), route.ask(user("two"))]);
    expect(left.error?.code).toBe("client_closed");
    expect(stayed.error).toBeUndefined();
    expect(stayed.call.trace.degraded).toEqual([]);
    expect(route.embedded("e").map((texts) => (texts as string[]).length)).toEqual([5, 5]);
  });

  test("another process finds them in the store", async () => {
    const store = memoryStore();
    await new Routing(options, {}, { store }).ask(user("one"));
    const later = new Routing(options, {}, { store });
    await later.ask(user("write a poem about the moon"));
    expect(later.embedded("e")).toEqual([["write a poem about the moon"]]);
  });

  test("vectors of another length than the query's are of an older model: embedded anew", async () => {
    const store = memoryStore();
    const older = new Routing(options, {}, { store });
    await older.ask(user("one"));
    const space = "embeddings 8 bit e";
    const key = createHash("sha256")
      .update(labelled[1]?.text ?? "")
      .digest("base64url");
    const { clock } = older;
    expect(await store.get(space, key, clock.wall())).toBeDefined();
    await store.set(space, key, { value: "AAAA", ttlMs: 10 ** 9, now: clock.wall() });
    const newer = new Routing(options, {}, { store });
    expect((await newer.ask(user("two"))).call.trace.degraded).toEqual(["route: embedder: upstream_protocol, so a answers"]);
    expect((await newer.ask(user("three"))).call.trace.degraded).toEqual([]);
    expect(newer.embedded("e").map((texts) => (texts as string[]).length)).toEqual([1, 5]);
  });

  test("a large file goes in hundreds, and what came is kept when a later call fails", async () => {
    const many = Array.from({ length: 150 }, (_, index) => ({ text: `text ${index}`, best: index % 2 === 0 ? "a" : "b" }));
    const route = new Routing({ ...options, labelled: many }, { e: [says("x"), down, says("x")] });
    const first = await route.ask(user("one"));
    expect(first.call.trace.degraded).toEqual(["route: embedder: upstream_error, so a answers"]);
    expect((await route.ask(user("two"))).call.trace.degraded).toEqual([]);
    expect(route.embedded("e").map((texts) => (texts as string[]).length)).toEqual([100, 51, 52]);
  });

  test("an embedder that is down sends everybody to `else`", async () => {
    const { text, call: made } = await new Routing({ ...options, else: "c" }, { e: down }).ask();
    expect(text).toBe("from c");
    expect(made.span.decision).toEqual({ by: "embedding", chosen: "c", failed: "embedder: upstream_error" });
  });

  test("a tie goes to the member that is named first", async () => {
    const same = [{ text: "hello", scores: { a: 0.5, b: 0.5 } }];
    expect((await new Routing({ ...options, labelled: same }).ask()).text).toBe("from a");
  });

  test("clusters rank the members where the question falls", async () => {
    const route = new Routing({ ...options, k: undefined, method: "clusters", clusters: 2 });
    expect((await route.ask(user("write a poem about the moon"))).text).toBe("from b");
    expect((await route.ask(user("compute the sum of numbers"))).text).toBe("from a");
  });

  test("cost counts as alpha says: by the file where it tells costs, else by prices", async () => {
    const close = [{ text: "hello", scores: { a: 0.8, b: 0.9 }, costs: { a: 1, b: 10 } }];
    // By hand, spread over the two: quality 0 and 1, cheapness 0.9 and 0. At 0.4: a 0.54, b 0.4. At 0.6: a 0.36, b 0.6.
    expect((await new Routing({ ...options, labelled: close, alpha: 0.4 }).ask()).text).toBe("from a");
    expect((await new Routing({ ...options, labelled: close, alpha: 0.6 }).ask()).text).toBe("from b");
    const priced = [{ text: "hello", scores: { a: 0.8, b: 0.9 } }];
    // The models cost 1 and 2: cheapness 0.5 and 0. At 0.3: a 0.35, b 0.3. At 0.4: a 0.3, b 0.4.
    expect((await new Routing({ ...options, labelled: priced, alpha: 0.3 }).ask()).text).toBe("from a");
    expect((await new Routing({ ...options, labelled: priced, alpha: 0.4 }).ask()).text).toBe("from b");
  });

  test("reads its file beside the config", async () => {
    const lines = labelled.map((one) => JSON.stringify(one)).join("\n");
    const route = new Routing({ ...options, labelled: "graded.jsonl" }, {}, { files: { "graded.jsonl": `${lines}\n\n` } });
    expect((await route.ask(user("write a poem about the moon"))).text).toBe("from b");
  });

  test.for<readonly [string, string, string]>([
    ["not json", "labelled", "line 1 is not JSON"],
    ['{"text":"x"}', "labelled", "line 1: needs either scores or best"],
    ['{"text":"x","best":"a","scores":{"a":1,"b":1}}', "labelled", "line 1: needs either scores or best"],
    ['{"text":"x","best":"z"}', "labelled", 'line 1 names "z", which is no member; the members are a, b'],
    ['{"text":"x","best":"a"}\n{"text":"y","scores":{"a":1}}', "labelled", 'line 2 has no value of the member "b"'],
    ['{"text":"x","scores":{"a":1,"b":0,"z":1}}', "labelled", 'line 1 has "z", which is no member; the members are a, b'],
    ["\n", "labelled", "it has no lines"],
  ])("does not start with a file like %j", ([text, at, message]) => {
    expect(refusal({ ...options, labelled: "x.jsonl" }, { files: { "x.jsonl": text } })).toMatchObject({ at, message });
  });

  test("does not start with what it can not know", () => {
    expect(refusal({ ...options, labelled: "nowhere.jsonl" }).at).toBe("labelled");
    expect(refusal({ ...options, members: ["a", "a"] })).toMatchObject({ at: "members[1]" });
    expect(refusal({ ...options, method: "clusters", clusters: 2 })).toMatchObject({ at: "k" });
    expect(refusal({ ...options, clusters: 2 })).toMatchObject({ at: "clusters" });
    expect(refusal({ ...options, members: ["a", { kind: "retry", model: "b" }] })).toMatchObject({ at: "members[1]" });
    expect(refusal({ ...options, alpha: 0.5 }, { prices: { a: 1 } })).toMatchObject({ at: "alpha" });
  });
});

describe("by a learned table", () => {
  const options = { by: "learned", members: ["a", "b"], embedder: "e" };
  /** The embedding's first number speaks for the weak member, its last for the strong one. */
  const one = (at: number) => Array.from({ length: 16 }, (_, index) => (index === at ? 1 : 0));
  const table: RouterTableFile = {
    format: "chorale/router-table",
    version: 1,
    embedder: { model: "e", dimensions: 16 },
    weak: { name: "a", vector: [3, 0] },
    strong: { name: "b", vector: [0, 2] },
    projection: [one(0), one(15)],
    winRates: [0.2, 0.9, 0.5, 0.7, 0.4],
  };
  const filed = (content: unknown) => ({ files: { "table.json": JSON.stringify(content) } });
  // Words of one letter whose places are known: "p" is 112, 0 modulo 16, "o" is 111, 15 modulo 16.
  const weak = user("p p");
  const strong = user("o o o");

  test("the strong member answers where its win rate reaches the threshold", async () => {
    const route = new Routing({ ...options, table: "table.json", threshold: 0.6 }, {}, filed(table));
    // By hand: the members' vectors count by direction alone, so sigma(0 - 2) = 0.1192 and sigma(3 - 0) = 0.95257.
    const first = await route.ask(weak);
    expect([first.text, first.call.span.decision]).toEqual(["from a", { by: "learned", chosen: "a", winRate: 0.1192, threshold: 0.6 }]);
    const second = await route.ask(strong);
    expect([second.text, second.call.span.decision]).toMatchObject(["from b", { winRate: 0.95257 }]);
  });

  test.for<readonly [number, number | "none"]>([
    [0, "none"],
    [0.2, 0.9],
    [0.4, 0.7],
    [0.6, 0.5],
    [1, 0.2],
  ])("a share of %d of the sample is a threshold of %s", async ([strongShare, threshold]) => {
    const route = new Routing({ ...options, table: "table.json", strongShare }, {}, filed(table));
    expect((await route.ask(strong)).call.span.decision).toMatchObject({ threshold });
  });

  test("the classifier's weights count, and vectors may be base64", async () => {
    const base64 = (values: readonly number[]) => Buffer.from(Float32Array.from(values).buffer).toString("base64");
    const weighted = {
      ...table,
      weights: [1, 0.5],
      projection: [base64(one(0)), base64(one(15))],
      weak: { name: "a", vector: base64([3, 0]) },
    };
    const route = new Routing({ ...options, table: "table.json", threshold: 0.9 }, {}, filed(weighted));
    // sigma(0.5 * 3) = 0.81757
    expect((await route.ask(strong)).call.span.decision).toMatchObject({ chosen: "a", winRate: 0.81757 });
  });

  test("embeddings of another length send everybody to `else`, and it is told", async () => {
    const other = {
      ...table,
      embedder: { model: "e", dimensions: 2 },
      projection: [
        [1, 0],
        [0, 1],
      ],
    };
    const { text, call: made } = await new Routing({ ...options, table: "table.json", threshold: 0.6, else: "c" }, {}, filed(other)).ask();
    expect(text).toBe("from c");
    expect(made.trace.degraded).toEqual(["route: embedder: 16 numbers where the table has 2, so c answers"]);
  });

  test.for<readonly [string, object, string, RegExp]>([
    [
      "other members",
      { ...table, strong: { ...table.strong, name: "z" } },
      "table",
      /made for a \(weak\) and z \(strong\), not for a and b/,
    ],
    ["swapped members", { ...table, weak: table.strong, strong: table.weak }, "table", /made for b \(weak\)/],
    [
      "another embedder",
      { ...table, embedder: { model: "openai/other", dimensions: 16 } },
      "table",
      /embeddings of openai\/other, not of e/,
    ],
    ["another version", { ...table, version: 2 }, "table", /no router table of version 1: version/],
    ["other sizes", { ...table, projection: [one(0)] }, "table", /2 numbers, the projection 1 rows/],
    ["numbers beyond 32 bits", { ...table, projection: [[1e300, ...one(0).slice(1)], one(15)] }, "table", /32-bit/],
    ["a short row", { ...table, projection: [one(0), [1]] }, "table", /row of the projection has 1 numbers, an embedding 16/],
    ["no sample", { ...table, winRates: [] }, "strongShare", /no sample/],
  ])("does not start with a table of %s", ([, content, at, message]) => {
    const error = refusal({ ...options, table: "table.json", strongShare: 0.5 }, filed(content));
    expect(error.at).toBe(at);
    expect(error.message).toMatch(message);
  });

  test("needs a share or a threshold, and not both", () => {
    const schema = strategies.get("route")?.options;
    const given = { ...options, table: "table.json" };
    expect(schema?.safeParse(given).success).toBe(false);
    expect(schema?.safeParse({ ...given, strongShare: 0.5, threshold: 0.5 }).success).toBe(false);
    expect(schema?.safeParse({ ...given, strongShare: 0.5 }).success).toBe(true);
  });
});

describe("the plan", () => {
  test("of rules is that of one of the models", () => {
    const { plan } = planNode(
      { kind: "route", by: "rules", rules: [{ when: { tools: true }, model: "a" }], else: { kind: "vote", members: ["a", "b", "c"] } },
      strategies,
    );
    expect(plan).toMatchObject({ calls: [1, 3], depth: 1, tail: "a" });
    expect(plan.edges.map(({ role }) => role)).toEqual(["rule 1", "else"]);
  });

  test("of a router counts its retry, and nothing where the decision is remembered", () => {
    const members = [
      { model: "a", description: "x" },
      { model: "b", description: "y" },
    ];
    const { plan } = planNode({ kind: "route", by: "prompt", router: "c", members }, strategies);
    expect(plan).toMatchObject({ calls: [1, 3], depth: 3, tail: "a or b", edges: [{ role: "router" }, {}, {}] });
  });

  test("of an embedder is one call more", () => {
    const { plan } = planNode({ kind: "route", by: "embedding", members: ["a", "b"], embedder: "c", labelled: "x" }, strategies);
    expect(plan).toMatchObject({ calls: [1, 2], depth: 2, edges: [{ role: "embedder" }, {}, {}] });
    const many = Array.from({ length: 100 }, (_, index) => ({ text: `text ${index}`, best: "a" }));
    const inline = planNode({ kind: "route", by: "embedding", members: ["a", "b"], embedder: "c", labelled: many }, strategies);
    expect(inline.plan).toMatchObject({ calls: [1, 3], depth: 3 });
  });
});

test("an option of another way to decide is refused", () => {
  const schema = strategies.get("route")?.options;
  expect(schema?.safeParse({ by: "rules", rules: [{ when: { tools: true }, model: "a" }], else: "b", router: "c" }).success).toBe(false);
  expect(schema?.safeParse({ by: "rules", rules: [{ when: {}, model: "a" }], else: "b" }).success).toBe(false);
  expect(schema?.safeParse({ by: "chance" }).success).toBe(false);
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { GatewayError } from "../../src/model/errors.ts";
import { newCall, newRequest } from "../support/call.ts";
import { manualClock } from "../support/clock.ts";
import { FakeModel, fails, says, textIn } from "../support/fake-model.ts";
import { read } from "../support/read.ts";
import { build, modelOf, problemsOf, type Leaves } from "./kit.ts";

const gpu = "providers: {gpu: {kind: fake, models: [small, large]}}\n";

async function answerOf(text: string, name: string, leaves: Leaves = new Map()) {
  const { catalog } = await build(text, { leaves });
  const call = newCall();
  const { events, error } = await read(modelOf(catalog, name).stream(newRequest(), call));
  if (error) throw error;
  return { text: textIn(events), call };
}

describe("a virtual model", () => {
  test("answers through its tree, and every node stands in the trace by its name", async () => {
    const { call } = await answerOf(
      `${gpu}models: {inner: {kind: pick, members: [small]}, outer: {kind: pick, members: [{model: {kind: pick, members: [inner]}}]}}`,
      "outer",
    );
    const nodes: unknown[] = [];
    for (let span = call.trace.root; ;) {
      nodes.push([span.node, span.kind, span.status]);
      const [child] = span.children;
      if (!child) break;
      span = child;
    }
    expect(nodes).toEqual([
      ["outer", "pick", "ok"],
      ["outer/members[0]", "pick", "ok"],
      ["inner", "pick", "ok"],
      ["gpu/small", "retry", "ok"],
      ["gpu/small", "leaf", "ok"],
    ]);
  });

  test("that only names another is the same model", async () => {
    const { catalog } = await build(`${gpu}models: {a: b, b: {kind: pick, members: [small]}, c: gpu/large}`);
    expect(catalog.get("a")?.model).toBe(catalog.get("b")?.model);
    expect(catalog.get("a")).toMatchObject({ name: "a", kind: "pick", virtual: true });
    expect(catalog.get("c")).toMatchObject({
      name: "c",
      kind: "leaf",
      virtual: true,
      provider: "gpu",
    });
  });

  test("is built once, however many name it", async () => {
    const { catalog } = await build(
      `${gpu}models: {a: {kind: pick, members: [c]}, b: {kind: pick, members: [c, c]}, c: {kind: pick, members: [small]}}`,
    );
    expect(catalog.get("b")?.plan.edges.map(({ child }) => child.plan)).toEqual([catalog.get("c")?.plan, catalog.get("c")?.plan]);
  });

  test("plans the children that it was built over", async () => {
    const { catalog } = await build(`${gpu}models: {a: {kind: pick, members: [small, {kind: pick, members: [large, large]}]}}`);
    expect(catalog.get("a")?.plan).toMatchObject({
      calls: [1, 3],
      edges: [{ child: { title: "gpu/small", plan: { calls: [1, 1] } } }, { child: { title: "pick", plan: { calls: [1, 2] } } }],
    });
  });

  test("nests six deep", async () => {
    const chain = (depth: number): string => (depth === 0 ? "small" : `{kind: pick, members: [${chain(depth - 1)}]}`);
    await expect(build(`${gpu}models: {a: ${chain(6)}}`)).resolves.toBeDefined();
    expect(await problemsOf(`${gpu}models: {a: ${chain(7)}}`)).toEqual([
      {
        path: "models.a",
        line: 2,
        message: "7 strategies stand inside each other here; at most 6 may",
      },
    ]);
    expect(
      await problemsOf(
        `${gpu}models: {a: ${chain(4)}, b: {kind: pick, members: [${chain(1).replace("small", "a")}]}, c: ${chain(1).replace("small", "b")}}`,
      ),
    ).toHaveLength(1);
  });

  test("answers by its alias over a leaf that clients may not name", async () => {
    const { catalog } = await build(`${gpu}models: {a: gpu/hidden}`);
    expect([catalog.get("a")?.kind, catalog.get("gpu/hidden")]).toEqual(["leaf", undefined]);
  });
});

describe("a config that can not be built", () => {
  test.each([
    ["models: {a: smal}", "models.a", 'there is no model "smal"; did you mean "gpu/small"?'],
    ["models: {a: gpu/huge, b: gup/small}", "models.b", 'there is no model "gup/small"; did you mean "gpu/small"?'],
    ["models: {a: nothing-like-it}", "models.a", 'there is no model "nothing-like-it"'],
    ["models: {a: {kind: pik, members: [small]}}", "models.a.kind", 'no node is of kind "pik"; did you mean "pick"?'],
    ["models: {a: {kind: fake}}", "models.a.kind", 'no node is of kind "fake"; that is a kind of provider'],
    ["models: {a: {kind: pick, members: []}}", "models.a.members", "found a list of 0, expected at least 1 entries"],
    ["models: {a: {kind: pick, membres: [small]}}", "models.a", 'unknown key "membres"; did you mean "members"?'],
    [
      "models: {a: {kind: pick, members: [{model: small, wieght: 2}]}}",
      "models.a.members[0]",
      'unknown key "wieght"; did you mean "weight"?',
    ],
    ["models: {a: {kind: pick, members: [small], weight: 2}}", "models.a", 'unknown key "weight"; it belongs in "members[]" of this node'],
    ["models: {a: {kind: pick, members: [{model: small, weight: x}]}}", "models.a.members[0].weight", 'found "x", expected a number'],
    ["models: {a: {kind: pick, members: [small], quorum: {min: 2}}}", "models.a.quorum.min", "asks for 2 of 1"],
    [
      "models: {a: {kind: pick, members: [small, {kind: pick, members: [small], quorum: {min: 3}}]}}",
      "models.a.members[1].quorum.min",
      "asks for 3 of 1",
    ],
    [
      "models: {a: {kind: pick, members: [{model: {kind: pick, members: [tiny]}}]}}",
      "models.a.members[0].model.members[0]",
      'there is no model "tiny"',
    ],
    ["models: {a: {kind: pick, members: [a]}}", "models.a.members[0]", "the models need each other in a circle: a -> a"],
    ["models: {a: b, b: c, c: a}", "models.c", "the models need each other in a circle: a -> b -> c -> a"],
    ["models: {a: {kind: pick, members: [small], budget: {dollars: 1}}}", "models.a.budget", /^unknown key "dollars"/],
    ["models: {a: {kind: pick, members: [small], budget: {usd: 0}}}", "models.a.budget.usd", "found 0, expected a number above 0"],
    [
      "models: {a: {kind: pick, members: [small], server: {}}}",
      "models.a",
      'unknown key "server"; it belongs in the top level of the file',
    ],
  ])("%s names the place and what would be right", async (text, path, message) => {
    const problems = (await problemsOf(gpu.replace("}}", "}, other: {kind: fake, models: [x]}}") + text)).filter(
      (problem) => problem.path === path,
    );
    expect(problems).toEqual([
      {
        path,
        line: 2,
        message: typeof message === "string" ? message : expect.stringMatching(message),
      },
    ]);
  });

  test.each([
    ["p: {kind: fkae}", "providers.p.kind", 'no provider is of kind "fkae"; did you mean "fake"?'],
    ["p: {kind: fake, apikey: sk-1}", "providers.p", 'unknown key "apikey"; did you mean "apiKey"?'],
    ["p: {kind: fake, price: {}}", "providers.p", 'unknown key "price"; did you mean "prices"?'],
    ["p: {kind: fake, prices: {a: {in: 1}}}", "providers.p.prices.a.out", "found nothing, expected a number"],
    ["p: {kind: fake, prices: {a: 1}}", "providers.p.prices.a", "found 1, expected a map"],
    ["p: {kind: fake, models: all}", "providers.p.models", 'found "all", expected a list of model names, or "*"'],
    ["p: {kind: fake, retry: {attempts: 0}}", "providers.p.retry.attempts", "found 0, expected at least 1"],
    ["p: {kind: fake, retry: {attempt: 3}}", "providers.p.retry", 'unknown key "attempt"; did you mean "attempts"?'],
    ["p: {kind: fake, fails: true}", "providers.p", "needs what it has not"],
  ])("provider %s names the place and what would be right", async (text, path, message) => {
    expect(await problemsOf(`providers:\n  ${text}\n`)).toEqual([{ path, line: 2, message }]);
  });

  test("tells all its problems at once, and none twice", async () => {
    const text = [
      "providers:",
      "  gpu: {kind: fake, models: [small]}",
      "  broken: {kind: fake, fails: true}",
      "models:",
      "  a: {kind: pick, members: [tiny, broken/x, small], quorum: {min: 4}}",
      "  b: {kind: pick, members: [a, a, c]}",
      "  c: {kind: pick, members: [b, huge]}",
      "",
    ].join("\n");
    expect((await problemsOf(text)).map(({ path, line }) => [line, path])).toEqual([
      [3, "providers.broken"],
      [5, "models.a.members[0]"],
      [5, "models.a.quorum.min"],
      [7, "models.c.members[0]"],
      [7, "models.c.members[1]"],
    ]);
  });

  test("quotes the names in a path that hold a dot", async () => {
    expect((await problemsOf(`${gpu}models: {gpt-4.1: {kind: pick, members: [tiny]}}`))[0]?.path).toBe('models["gpt-4.1"].members[0]');
  });
});

describe("a leaf", () => {
  test("takes any name of a provider that lists nothing, and remembers the last 256", async () => {
    const { catalog } = await build("providers: {open: {kind: fake}}");
    const first = catalog.get("open/m0");
    expect(catalog.get("open/m0")).toBe(first);
    for (let i = 1; i <= 256; i += 1) catalog.get(`open/m${i}`);
    expect(catalog.get("open/m0")).not.toBe(first);
    expect(catalog.list()).toEqual([]);
  });

  test("that is asked for stays while others come and go", async () => {
    const { catalog } = await build("providers: {open: {kind: fake, models: '*'}}");
    const first = catalog.get("open/m0");
    for (let i = 1; i <= 1000; i += 1) {
      catalog.get(`open/m${i}`);
      catalog.get("open/m0");
    }
    expect(catalog.get("open/m0")).toBe(first);
  });

  test("with a name of absurd length is none", async () => {
    const { catalog } = await build("providers: {open: {kind: fake}}");
    expect(catalog.get(`open/${"x".repeat(257)}`)).toBeUndefined();
    expect(catalog.get("open/")).toBeUndefined();
  });

  test("is retried twice unless the provider says otherwise", async () => {
    const overloaded = new GatewayError("upstream_overloaded", "later");
    const clock = manualClock();
    const attempts = async (retry: string) => {
      const leaf = new FakeModel("p/m", fails(overloaded));
      const { catalog } = await build(`providers: {p: {kind: fake, models: [m]${retry}}}`, {
        leaves: new Map([["p/m", leaf]]),
      });
      const stream = modelOf(catalog, "p/m").stream(newRequest(), newCall({ clock }));
      expect((await clock.drive(read(stream))).error?.code).toBe("upstream_overloaded");
      return leaf.calls.length;
    };
    expect([await attempts(""), await attempts(", retry: {attempts: 1}"), await attempts(", retry: {attempts: 4, baseMs: 1}")]).toEqual([
      2, 1, 4,
    ]);
  });

  test("knows its provider, price and capabilities", async () => {
    const { catalog } = await build("providers: {p: {kind: fake, models: [clever, plain], prices: {clever: {in: 1, out: 2}}}}");
    expect(catalog.get("p/clever")).toMatchObject({
      kind: "leaf",
      virtual: false,
      provider: "p",
      price: { in: 1, out: 2 },
      capabilities: { tools: true },
      multiplier: 1,
    });
    expect(catalog.get("p/plain")).not.toHaveProperty("price");
  });
});

describe("names", () => {
  const two =
    "providers: {gpu: {kind: fake, models: [small, qwen/large]}, own: {kind: owning}, cpu: {kind: fake, models: [small]}, open: {kind: fake}}\n";

  test("with a slash split at the first", async () => {
    const { catalog } = await build(two);
    expect(catalog.get("gpu/qwen/large")?.name).toBe("gpu/qwen/large");
    expect(catalog.get("gpu/other")).toBeUndefined();
  });

  test("without a provider mean the one that lists them", async () => {
    const { catalog } = await build(two);
    expect(catalog.get("alto")?.name).toBe("own/alto");
    expect(catalog.get("qwen/large")?.name).toBe("gpu/qwen/large");
    expect(catalog.get("small")).toBeUndefined();
  });

  test("of virtual models come before those of providers", async () => {
    const { catalog } = await build(`${two}models: {alto: {kind: pick, members: [own/bass]}}`);
    expect(catalog.get("alto")?.kind).toBe("pick");
  });

  test("that two providers list have to be written in full", async () => {
    expect(await problemsOf(`${two}models: {a: small}`)).toEqual([
      {
        path: "models.a",
        line: 2,
        message: 'more than one provider has "small": write gpu/small or cpu/small',
      },
    ]);
  });

  test("of a provider's own models are all it has", async () => {
    expect(await problemsOf(`${two}models: {a: own/alte}`)).toEqual([
      {
        path: "models.a",
        line: 2,
        message: 'there is no model "own/alte"; did you mean "own/alto"?',
      },
    ]);
    expect(await problemsOf(`${two}models: {a: own/xyzzyxyzzy}`)).toEqual([
      {
        path: "models.a",
        line: 2,
        message: expect.stringMatching(/^there is no model "own\/xyzzyxyzzy"; there are own\/alto/),
      },
    ]);
  });

  test("are listed: virtual models, what providers list, and what nodes use of open providers", async () => {
    const { catalog } = await build(`${two}models: {a: {kind: pick, members: [open/x, gpu/hidden]}}`);
    expect(catalog.list().map(({ name }) => name)).toEqual([
      "a",
      "gpu/small",
      "gpu/qwen/large",
      "own/alto",
      "own/bass",
      "cpu/small",
      "open/x",
    ]);
    expect(catalog.get("gpu/hidden")).toBeUndefined();
  });

  test("that are wrong have near ones, of those that are allowed", async () => {
    const { catalog } = await build(`${two}models: {smart: own/alto}`);
    expect(catalog.nearest("smrt")).toEqual(["smart"]);
    expect(catalog.nearest("smal")).toEqual(["gpu/small", "cpu/small", "smart"]);
    expect(catalog.nearest("smal", (name) => name.startsWith("cpu/"))).toEqual(["cpu/small"]);
    expect(catalog.nearest("gup/qwen/lrge")).toEqual(["gpu/qwen/large"]);
    expect(catalog.nearest("zzzzzzzz")).toEqual([]);
  });

  test("that a key may use and nobody has are warned of", async () => {
    const { warnings } = await build(`${two}keys: [{name: team, key: 0123456789abcdef, models: [gpu/*, gpu/tiny, alto]}]`);
    expect(warnings).toEqual([
      'key "team" may use alto, which lets nothing through: write own/alto',
      'key "team" may use gpu/tiny, of which there is none',
    ]);
  });

  test("and their entries are frozen", async () => {
    const { catalog } = await build(`${two}models: {a: {kind: pick, members: [alto]}}`);
    expect([catalog, catalog.list(), catalog.get("a"), catalog.get("own/alto")].every(Object.isFrozen)).toBe(true);
  });
});

describe("the worst price", () => {
  const priced =
    "providers: {p: {kind: fake, models: [dear, cheap, unknown], prices: {dear: {in: 10, out: 20}, cheap: {in: 1, out: 2}}}}\n";
  const entryOf = async (models: string) => (await build(`${priced}models: {a: ${models}}`)).catalog.get("a");

  test.each([
    ["p/dear", 50, 1],
    ["{kind: pick, members: [p/dear, p/cheap, p/cheap]}", 60, 1.2],
    ["{kind: pick, members: [p/dear], samples: 4}", 200, 4],
    ["{kind: pick, members: [{kind: pick, members: [p/cheap], samples: 3}, p/dear]}", 65, 1.3],
    ["{kind: pick, members: [p/dear, p/unknown]}", 50, 2],
    ["{kind: pick, members: [p/unknown], samples: 3}", 0, 3],
  ])("of %s is the sum of its worst calls", async (models, usd, multiplier) => {
    const entry = await entryOf(models);
    expect(entry?.worstUsd(1_000_000, 2_000_000)).toBeCloseTo(usd);
    expect(entry?.multiplier).toBeCloseTo(multiplier);
  });

  test("is no more than the model's own budget", async () => {
    const entry = await entryOf("{kind: pick, members: [p/dear, p/cheap], budget: {usd: 0.5}}");
    expect([entry?.worstUsd(1_000_000, 2_000_000), entry?.worstUsd(1000, 2000)]).toEqual([0.5, 0.055]);
  });

  test("comes from the public list when the config gives none", async () => {
    const { catalog } = await build(
      "providers: {openai: {kind: priced, models: [gpt-5-mini, gpt-nobody-knows], prices: {gpt-5: {in: 7, out: 8}}}}",
    );
    expect(catalog.get("openai/gpt-5-mini")?.price).toEqual({ in: 0.25, out: 2, cachedIn: 0.025 });
    expect(catalog.get("openai/gpt-nobody-knows")?.price).toBeUndefined();
  });

  test("that is unknown below a budget in dollars is warned of", async () => {
    const { warnings } = await build(`${priced}models: {a: {kind: pick, members: [p/dear, p/unknown], budget: {usd: 1}}}`);
    expect(warnings).toEqual(["models.a.budget.usd: no price is known of p/unknown, so that they count as nothing"]);
  });
});

describe("a node's budget", () => {
  test("denies the call that it has no room for, whatever is below", async () => {
    const text = `${gpu}models: {a: {kind: pick, members: [{kind: pick, members: [small]}], budget: {tokens: 10}}}`;
    await expect(answerOf(text, "a")).rejects.toMatchObject({
      code: "budget_denied",
      message: "The tokens budget of a has no room for another call.",
    });
  });

  test("leaves what has room alone", async () => {
    expect((await answerOf(`${gpu}models: {a: {kind: pick, members: [small], budget: {calls: 1, tokens: 9000}}}`, "a")).text).toBe("Hello");
  });

  test("of time ends what takes longer", async () => {
    const leaf = new FakeModel("gpu/small", { moves: ["stall"] });
    const { catalog } = await build(`${gpu}models: {a: {kind: pick, members: [small], budget: {ms: 500}}}`, {
      leaves: new Map([["gpu/small", leaf]]),
    });
    const clock = manualClock();
    const call = newCall({ clock });
    const { error } = await clock.drive(read(modelOf(catalog, "a").stream(newRequest(), call)));
    expect(error?.code).toBe("upstream_timeout");
    expect([clock.now(), clock.pending, leaf.open]).toEqual([500, 0, 0]);
    expect(call.trace.root).toMatchObject({
      node: "a",
      status: "failed",
      error: { code: "upstream_timeout" },
    });
  });
});

describe("a prompt", () => {
  const shipped = readFileSync(new URL("../../src/strategies/text/repair.prompt.md", import.meta.url), "utf8");

  function inFolder(files: Readonly<Record<string, string>>): string {
    const folder = mkdtempSync(join(tmpdir(), "chorale-prompts-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return join(folder, "chorale.yaml");
  }

  const text = (prompts: string) => `${gpu}models: {a: {kind: prompted, model: small${prompts}}}`;

  test("is the one that is shipped beside the strategies", async () => {
    expect((await answerOf(text(""), "a")).text).toBe(shipped.trim().replaceAll(/\{\{\s*reason\s*\}\}/g, "REASON"));
  });

  test("is replaced by a file beside the config", async () => {
    const path = inFolder({ "mine.md": "Because: {{reason}}\n" });
    const { catalog } = await build(text(", prompts: {repair: mine.md}"), { path });
    const { events } = await read(modelOf(catalog, "a").stream(newRequest(), newCall()));
    expect(textIn(events)).toBe("Because: REASON");
  });

  test.each([
    [", prompts: {repiar: mine.md}", "repiar", 'there is no prompt "repiar"; did you mean "repair"?'],
    [", prompts: {repair: gone.md}", "repair", /^can not read .*gone\.md \(ENOENT\)$/],
    [", prompts: {repair: other.md}", "repair", /other\.md has \{\{cause\}\}, which nobody fills; it may have \{\{reason\}\}$/],
    [", prompts: {repair: code.md}", "repair", /^"\{\{" starts no \{\{variable\}\}/],
  ])("%s is refused with its place", async (prompts, name, message) => {
    const path = inFolder({ "mine.md": "x", "other.md": "{{cause}}", "code.md": "{{#if reason}}" });
    expect(await problemsOf(text(prompts), path)).toEqual([
      {
        path: `models.a.prompts.${name}`,
        line: 2,
        message: typeof message === "string" ? message : expect.stringMatching(message),
      },
    ]);
  });

  test("of a kind that has none is refused", async () => {
    const problems = await problemsOf(`${gpu}models: {a: {kind: pick, members: [small], prompts: {repair: x.md}}}`);
    expect(problems[0]?.message).toBe('there is no prompt "repair"; this kind has none');
  });
});

test("the example models of the demo answer", async () => {
  expect(
    (
      await answerOf(
        "providers: {own: {kind: owning}}\nmodels: {a: alto}",
        "a",
        new Map([["own/alto", new FakeModel("own/alto", says("la"))]]),
      )
    ).text,
  ).toBe("la");
});

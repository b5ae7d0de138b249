import { Validator } from "@cfworker/json-schema";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { discover } from "../../src/config/discover.ts";
import { configJsonSchema } from "../../src/config/schema.ts";
import { providers } from "../../src/providers/registry.ts";
import { strategies } from "../../src/strategies/registry.ts";

const schema = configJsonSchema();
const validator = new Validator(schema as never, "7");
const accepts = (raw: unknown) => validator.validate(raw).valid;

describe("the JSON Schema", () => {
  test("knows every kind", () => {
    const names = Object.keys(schema.definitions ?? {});
    expect(names).toEqual(expect.arrayContaining([...strategies.keys()].map((kind) => `node-${kind}`)));
    expect(names).toEqual(expect.arrayContaining([...providers.keys()].map((kind) => `provider-${kind}`)));
  });

  test.each([...strategies.values()].flatMap(({ examples }) => examples.map((example) => [JSON.stringify(example), example])))(
    "accepts the example %s",
    (_, example) => {
      expect(accepts({ models: { x: example } })).toBe(true);
    },
  );

  test("accepts what discovery makes", async () => {
    expect(accepts(await discover({}, () => Promise.resolve(undefined)))).toBe(true);
    expect(accepts(await discover({ OPENAI_API_KEY: "a", GROQ_API_KEY: "b" }, () => Promise.resolve(["m"])))).toBe(true);
  });

  test("accepts a variable wherever a value stands", () => {
    expect(
      accepts({
        server: { port: "${PORT}" },
        keys: [{ name: "a", key: "${A_KEY}" }],
        log: { level: "${LEVEL:-info}" },
      }),
    ).toBe(true);
    expect(accepts({ providers: { gpu: { kind: "openai", baseUrl: "${GPU_URL}" } } })).toBe(true);
  });

  test("knows the keys that any provider and any node may have", () => {
    const provider = {
      kind: "openai",
      prices: { a: { in: 1, out: 2 } },
      models: ["a"],
      retry: { attempts: 3, baseMs: 10 },
    };
    const node = {
      kind: "vote",
      members: ["a", "b"],
      budget: { usd: 1, ms: 10 },
      prompts: { repair: "x.md" },
    };
    expect(accepts({ providers: { p: provider }, models: { n: node } })).toBe(true);
  });

  test.each([
    [{ servr: {} }],
    [{ server: { prot: 1 } }],
    [{ server: { port: "80a" } }],
    [{ store: { kind: "redis" } }],
    [{ providers: { p: { kind: "openai", apikey: "x" } } }],
    [{ providers: { p: { kind: "opnai" } } }],
    [{ providers: { p: { kind: "openai", retry: { attempt: 2 } } } }],
    [{ providers: { p: { kind: "openai", retry: { model: "x" } } } }],
    [{ models: { n: { kind: "vot", members: ["a"] } } }],
    [{ models: { n: { kind: "vote", members: ["a", { model: "b", wieght: 2 }] } } }],
    [{ models: { n: { kind: "vote", members: ["a", { kind: "vote", membrs: ["b"] }] } } }],
    [{ models: { n: { kind: "vote", members: ["a", "b"], budget: { dollars: 1 } } } }],
    [{ models: { n: 3 } }],
  ])("refuses %j", (raw) => {
    expect(accepts(raw)).toBe(false);
  });

  test("accepts the config of start:local", () => {
    const text = readFileSync(new URL("../../engines/local.yaml", import.meta.url), "utf8");
    expect(accepts(parse(text))).toBe(true);
  });
});

import { describe, expect, test } from "vitest";
import { buildCatalog } from "../../src/catalog/build.ts";
import type { ConfigError } from "../../src/config/config-error.ts";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/model/clock.ts";
import { openPools } from "../../src/upstream/pools.ts";

/** What the operator is told of a config that may start. */
async function warningsOf(text: string): Promise<readonly string[]> {
  const warnings: string[] = [];
  const pools = openPools();
  try {
    await buildCatalog(loadConfig({ text, env: {} }), { pools, clock: systemClock, warn: (message) => warnings.push(message) });
    return warnings;
  } finally {
    await pools.close();
  }
}

/** What the operator is told of a config that may not start. */
async function problemsOf(text: string): Promise<readonly string[]> {
  const thrown = await warningsOf(text).catch((error: unknown) => error);
  return (thrown as ConfigError).problems.map(({ path, message }) => `${path}: ${message}`);
}

const members = (count: number) => Array.from({ length: count }, (_, index) => `up/m${index + 1}`);
const falling = (asked: readonly unknown[], provider: object = {}) =>
  JSON.stringify({
    providers: { up: { kind: "openai", baseUrl: "http://127.0.0.1:9/v1", ...provider } },
    models: { safe: { kind: "fallback", members: asked } },
  });

describe("members behind the last attempt of a request", () => {
  test.each([
    ["three that are asked twice", falling(members(3)), undefined],
    ["six that are asked once", falling(members(6), { retry: { attempts: 1 } }), undefined],
    ["six that are asked twice", falling(members(6)), "member 4, member 5, member 6"],
    ["one behind a patient retry", falling([{ kind: "retry", model: "up/a", attempts: 3 }, "up/b"]), "member 2"],
    ["one behind another fallback", falling([{ kind: "fallback", members: members(3) }, "up/b"]), "member 2"],
    ["one behind a panel, whose members have attempts of their own", falling([{ kind: "vote", members: members(7) }, "up/b"]), undefined],
  ])("are named: %s", async (_, text, late) => {
    const named = late === undefined ? [] : [expect.stringContaining(`models.safe: ${late} may never be asked`)];
    expect(await warningsOf(text)).toEqual(named);
  });
});

test.each([
  ["an address without a path", { baseUrl: "http://gpu:8000" }, /^providers\.p: its baseUrl has no path/],
  ["an address with one", { baseUrl: "http://gpu:8000/v1" }, undefined],
  ["a reranker at the root", { baseUrl: "http://gpu:8080", dialect: "tei" }, undefined],
  ["a public server without a key", {}, /^providers\.p: it has no apiKey/],
  ["a public server with one", { apiKey: "sk-x" }, undefined],
  ["a public server with one in a header", { headers: { Authorization: "Bearer x" } }, undefined],
  ["a local server without one", { dialect: "ollama" }, undefined],
])("a provider of %s", async (_, options, warning) => {
  const warnings = await warningsOf(JSON.stringify({ providers: { p: { kind: "openai", ...options } } }));
  expect(warnings).toEqual(warning === undefined ? [] : [expect.stringMatching(warning)]);
});

test("a config without providers is told of", async () => {
  expect(await warningsOf("")).toEqual([expect.stringContaining("there are no providers")]);
});

test("a step that is a bare name is told the form", async () => {
  const text =
    "providers: {d: {kind: demo}}\nmodels: {c: {kind: cascade, steps: [{model: d/alto, accept: {by: logprob, min: -1}}, d/tenor]}}";
  expect(await problemsOf(text)).toEqual(['models.c.steps[1]: found "d/tenor", expected a step such as {model: <name>}']);
});

describe.each(["openai", "anthropic", "gemini", "bedrock"])("an address of %s", (kind) => {
  const at = (baseUrl: string) => JSON.stringify({ providers: { p: { kind, region: "eu-west-1", apiKey: "k-1", baseUrl } } });
  const ofAddress = async (baseUrl: string) =>
    (await problemsOf(at(baseUrl))).filter((problem) => problem.startsWith("providers.p.baseUrl"));

  test.each(["http://u:p@127.0.0.1:9/v1", "http://u@127.0.0.1:9/v1"])(
    "with a user in it is refused, and not repeated: %s",
    async (baseUrl) => {
      const problems = await ofAddress(baseUrl);
      expect(problems).toEqual([expect.stringContaining("has no user and password in it")]);
      expect(problems.join()).not.toContain("u:p");
    },
  );

  test("that is none is refused as such", async () => {
    expect(await ofAddress("nope")).toEqual([expect.stringContaining("expected an address such as")]);
  });
});

test.each(["openai", "anthropic", "gemini", "bedrock"])("a header that frames requests is refused at %s", async (kind) => {
  const provider = { kind, region: "eu-west-1", apiKey: "k-1", headers: { "x-team": "one", "Content-Length": "5" } };
  const problems = (await problemsOf(JSON.stringify({ providers: { p: provider } }))).filter((problem) => problem.includes("headers"));
  expect(problems).toEqual([expect.stringMatching(/^providers\.p\.headers\.Content-Length: .*leave it to the gateway/)]);
});

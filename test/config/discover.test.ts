import { describe, expect, test } from "vitest";
import { buildCatalog } from "../../src/catalog/build.ts";
import { discover, type Probe } from "../../src/config/discover.ts";
import type { Env } from "../../src/config/interpolate.ts";
import { checkConfig } from "../../src/config/load.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { manualClock } from "../support/clock.ts";

const nobody: Probe = () => Promise.resolve(undefined);

function servers(models: Readonly<Record<number, readonly string[]>>): Probe {
  return (url) => Promise.resolve(models[Number(new URL(url).port)]);
}

interface Raw {
  readonly providers: Readonly<Record<string, object>>;
  readonly models: Readonly<Record<string, unknown>>;
}

const found = async (env: Env, probe: Probe = nobody) => (await discover(env, probe)) as unknown as Raw;

describe("without a config file", () => {
  test("the demo is offered when there is nothing else", async () => {
    const { providers, models } = await found({});
    expect(providers).toEqual({ demo: { kind: "demo" } });
    expect(Object.keys(models)).toEqual(["demo", "demo-vote", "demo-fuse", "demo-cascade"]);
  });

  test("each local port is asked once, all at the same time", async () => {
    const asked: string[] = [];
    let open = 0;
    let most = 0;
    await discover({}, async (url) => {
      asked.push(url);
      most = Math.max(most, (open += 1));
      await Promise.resolve();
      open -= 1;
      return undefined;
    });
    expect(asked.toSorted()).toEqual([
      "http://127.0.0.1:11434/v1/models",
      "http://127.0.0.1:8000/v1/models",
      "http://127.0.0.1:8080/v1/models",
      "http://127.0.0.1:8081/v1/models",
    ]);
    expect(most).toBe(4);
  });

  test("a provider is taken when its key is in the environment, and the key stays there", async () => {
    const raw = await found({ GROQ_API_KEY: "gsk-secret", OPENAI_API_KEY: "" });
    expect(raw.providers).toEqual({
      groq: {
        kind: "openai",
        dialect: "groq",
        baseUrl: "https://api.groq.com/openai/v1",
        apiKey: "${GROQ_API_KEY}",
        models: "*",
      },
    });
    expect(JSON.stringify(raw)).not.toContain("gsk-secret");
  });

  test("one model alone is sampled, and there is nothing to merge", async () => {
    const { models } = await found({ OPENAI_API_KEY: "sk-1" });
    expect(models).toEqual({
      "chorale-vote": { kind: "vote", answer: "auto", model: "openai/gpt-5-mini", samples: 3 },
    });
  });

  test("two providers make a vote, a fusion and a cascade", async () => {
    const { models } = await found({ OPENAI_API_KEY: "sk-1", MISTRAL_API_KEY: "m-1" });
    const members = ["openai/gpt-5-mini", "mistral/mistral-small-latest"];
    expect(models).toEqual({
      "chorale-vote": { kind: "vote", answer: "auto", members },
      "chorale-fuse": { kind: "fuse", members, writer: members[0] },
      "chorale-cascade": {
        kind: "cascade",
        steps: [{ model: "chorale-vote", accept: { by: "agreement", min: 0.6 } }, { model: "chorale-fuse" }],
      },
    });
  });

  test("a local server lists what it has, and what is no chat model sits on no panel", async () => {
    const { providers, models } = await found({}, servers({ 11434: ["nomic-embed-text", "qwen3:4b", "llama3.2"] }));
    expect(providers["ollama"]).toEqual({
      kind: "openai",
      dialect: "ollama",
      baseUrl: "http://127.0.0.1:11434/v1",
      models: ["nomic-embed-text", "qwen3:4b", "llama3.2"],
    });
    expect(models["chorale-vote"]).toMatchObject({
      members: ["ollama/qwen3:4b", "ollama/llama3.2"],
    });
  });

  test("a model that tells log-probabilities gates the cascade", async () => {
    const { models } = await found({}, servers({ 8081: ["smol"] }));
    expect(models["chorale-cascade"]).toMatchObject({
      steps: [{ model: "llamacpp-8081/smol", accept: { by: "prefixLogprob" } }, { model: "chorale-vote" }],
    });
  });

  test("a panel takes one model of each house before a second of any", async () => {
    const { models } = await found({ OPENAI_API_KEY: "sk-1" }, servers({ 11434: ["a", "b"], 8000: ["c"] }));
    expect(models["chorale-vote"]).toMatchObject({
      members: ["openai/gpt-5-mini", "ollama/a", "vllm/c"],
    });
  });
});

const everyKey = Object.fromEntries(
  ["OPENAI", "OPENROUTER", "DEEPSEEK", "MISTRAL", "GROQ", "TOGETHER"].map((name) => [`${name}_API_KEY`, `key-of-${name}`]),
);

test.each([
  ["nothing", {}, nobody],
  ["one key", { DEEPSEEK_API_KEY: "d" }, nobody],
  ["every key", everyKey, nobody],
  ["one local model", {}, servers({ 8080: ["smol"] })],
  ["everything", everyKey, servers({ 11434: ["a", "b"], 8080: ["c"], 8081: ["d"], 8000: ["org/e"] })],
])("what is made of %s is a config that builds without a warning", async (_, env, probe) => {
  const config = checkConfig(await discover(env, probe), env);
  const warnings: string[] = [];
  await buildCatalog(config, {
    pools: openPools(),
    clock: manualClock(),
    warn: (message) => warnings.push(message),
  });
  expect(warnings).toEqual([]);
});

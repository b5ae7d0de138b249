import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startProbing, type ServerProbe } from "../../src/catalog/probe.ts";
import { run } from "../../src/cli/run.ts";
import { serve } from "../../src/serve.ts";
import { manualClock } from "../support/clock.ts";
import { startPair } from "../support/gateway.ts";
import { completionJson, html, json, refusedUrl, stall, startUpstream, type Scripts, type Script } from "../support/upstream.ts";

const props = {
  default_generation_settings: { n_ctx: 200 },
  modalities: { vision: false, audio: false },
};
const answer = json(200, completionJson("4"));
const llama: Scripts = { "GET /props": json(200, props), m: answer, other: answer };

const long = { messages: [{ role: "user", content: "Sing of the anger of Achilles. ".repeat(100) }] };
const image = {
  messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] }],
};

/** A gateway over a server that may tell what its models can do. */
async function start(dialect: string, scripts: Scripts, provider: object = {}) {
  const { gateway, upstream } = await startPair(scripts, { onFinished: onTestFinished, provider: { dialect, probe: true, ...provider } });
  const entry = async (model: string) => {
    const told = (await (await gateway.get(`/v1/models/up/${model}`)).json()) as { readonly chorale: { readonly capabilities?: object } };
    return told.chorale.capabilities;
  };
  const paths = () => upstream.requests.map(({ method, path }) => `${method} ${path}`);
  return { gateway, upstream, entry, paths };
}

describe("a llama.cpp server", () => {
  test("tells the length and the senses of its model, by whatever name", async () => {
    const { gateway, entry, paths } = await start("llama.cpp", llama, { models: ["m"], capabilities: {} });
    await gateway.probed;
    const told = { schema: true, logprobs: true, continuation: true, tokenise: true, contextLength: 200, images: false, audio: false };
    expect(await entry("m")).toEqual(told);
    for (const fields of [long, image]) expect((await gateway.chat({ model: "up/m", ...fields })).status).toBe(400);
    expect(paths()).toEqual(["GET /props"]);
    expect((await gateway.chat({ model: "up/m" })).status).toBe(200);
  });

  test("tells it of models too that clients ask for later", async () => {
    const { gateway } = await start("llama.cpp", llama);
    await gateway.probed;
    expect((await gateway.chat({ model: "up/other", ...image })).status).toBe(400);
  });

  test("does not take back what the config says", async () => {
    const { gateway, entry } = await start("llama.cpp", llama, {
      models: ["m"],
      capabilities: { m: { images: true }, "*": { contextLength: 9000 } },
    });
    await gateway.probed;
    expect(await entry("m")).toMatchObject({ images: true, contextLength: 9000, audio: false });
    expect((await gateway.chat({ model: "up/m", ...image })).status).toBe(200);
  });

  test("that loads models on demand tells nothing of each", async () => {
    const { gateway, entry } = await start("llama.cpp", {
      ...llama,
      "GET /props": json(200, { ...props, default_generation_settings: { n_ctx: 0 } }),
    });
    await gateway.probed;
    expect(await entry("m")).toEqual({ schema: true, logprobs: true, continuation: true, tokenise: true });
  });
});

test("a vLLM tells the length of each model, and whose adapters it has", async () => {
  const data = [
    { id: "base", max_model_len: 200, parent: null },
    { id: "tuned", max_model_len: null, parent: "base" },
    { id: 7, max_model_len: 1 },
    null,
  ];
  const { gateway, entry, paths } = await start(
    "vllm",
    { "GET /v1/models": json(200, { data }), tuned: answer },
    { models: ["base", "tuned"] },
  );
  await gateway.probed;
  expect(await entry("base")).toMatchObject({ contextLength: 200, adapters: true });
  expect(await entry("tuned")).toEqual({ schema: true, logprobs: true, tokenise: true, contextLength: 200 });
  expect((await gateway.chat({ model: "up/tuned", ...long })).status).toBe(400);
  expect(paths()).toEqual(["GET /v1/models"]);
});

test("an Ollama tells of each of its models", async () => {
  const shown: Record<string, object> = {
    "eye:latest": { capabilities: ["completion", "vision"], model_info: { "general.architecture": "x", "x.context_length": 8192 } },
    "old:1b": { model_info: {} },
  };
  const show: Script = (exchange) => json(200, shown[String(exchange.request.json["model"])])(exchange);
  const list = json(200, { data: Object.keys(shown).map((id) => ({ id })) });
  const { gateway, entry, upstream } = await start(
    "ollama",
    { "GET /v1/models": list, "POST /api/show": show },
    { models: ["eye", "old:1b"] },
  );
  await gateway.probed;
  expect(await entry("eye")).toMatchObject({ images: true, tools: false, contextLength: 8192 });
  expect(await entry("old:1b")).toEqual({ schema: true, choices: "one" });
  expect(upstream.requests.length).toBe(3);
  const tools = [{ type: "function", function: { name: "look", parameters: { type: "object" } } }];
  const response = await gateway.chat({ model: "up/eye", tools });
  expect([response.status, await response.json()]).toMatchObject([400, { error: { param: "tools" } }]);
});

describe("what a server does not tell counts as able", () => {
  test.each<readonly [string, Script]>([
    ["no such page", json(404, { error: { message: "not found" } })],
    ["a page of another kind", html(200, "<h1>hello</h1>")],
    ["a list", json(200, [])],
    ["null", json(200, null)],
    ["other words", json(200, { default_generation_settings: [], modalities: 7 })],
    ["numbers that are none", json(200, { default_generation_settings: { n_ctx: -1 }, modalities: { vision: "no" } })],
    ["a socket that closes", ({ socket }) => void socket.destroy()],
  ])("%s", async (_, script) => {
    const { gateway, entry } = await start("llama.cpp", { ...llama, "GET /props": script });
    await gateway.probed;
    expect(await entry("m")).toEqual({ schema: true, logprobs: true, continuation: true, tokenise: true });
    for (const fields of [long, image]) expect((await gateway.chat({ model: "up/m", ...fields })).status).toBe(200);
    expect(gateway.logs.find(({ provider }) => provider === "up")).toMatchObject({ level: "info" });
  });

  test("a server that is not there", async () => {
    const baseUrl = await refusedUrl(onTestFinished);
    const { gateway, entry } = await start("llama.cpp", {}, { baseUrl });
    await gateway.probed;
    expect(await entry("m")).not.toHaveProperty("contextLength");
  });

  test("a server that is not to be asked", async () => {
    const { gateway, paths } = await start("llama.cpp", llama, { probe: false });
    await gateway.probed;
    expect(paths()).toEqual([]);
  });
});

test("a server that hangs holds up neither the start, nor an answer, nor the end", async () => {
  const { gateway, upstream } = await start("llama.cpp", { ...llama, "GET /props": stall() });
  const asked = await upstream.request(0);
  expect((await gateway.chat({ model: "up/m", ...image })).status).toBe(200);
  await gateway.close();
  await gateway.probed;
  expect((await asked.closed).complete).toBe(false);
});

test("a reload asks anew, and takes what has changed", async () => {
  const upstream = await startUpstream(llama, onTestFinished);
  const folder = mkdtempSync(join(tmpdir(), "chorale-probe-"));
  const config = join(folder, "chorale.yaml");
  const up = { kind: "openai", dialect: "llama.cpp", baseUrl: upstream.url, models: ["m"] };
  writeFileSync(config, JSON.stringify({ server: { port: 0 }, store: { kind: "memory" }, providers: { up } }));
  const running = await serve({ env: {}, config, probe: async () => undefined, logTo: { write: () => {} } });
  onTestFinished(async () => {
    await running.close();
    rmSync(folder, { recursive: true });
  });
  const length = async () => {
    await running.probed;
    const told = (await (await fetch(`${running.url}/v1/models/up/m`)).json()) as { readonly context_length?: number };
    return told.context_length;
  };
  expect(await length()).toBe(200);
  upstream.script({ "GET /props": json(200, { default_generation_settings: { n_ctx: 4000 } }) });
  await running.reload();
  expect(await length()).toBe(4000);
  upstream.script({ "GET /props": [stall(), json(200, props)] });
  await running.reload();
  const hanging = await upstream.request(2);
  await running.reload();
  // Its own time is three seconds.
  expect((await hanging.closed).atMs - hanging.atMs).toBeLessThan(2500);
  expect(await length()).toBe(200);
});

describe("asking again", () => {
  const told: [string, number | undefined][] = [];
  const begin = (answers: readonly (number | undefined)[]) => {
    told.length = 0;
    const clock = manualClock();
    let asked = 0;
    const probe: ServerProbe = { provider: "up", ask: () => Promise.resolve(answers[asked++]) };
    const probing = startProbing([probe], { clock, told: (provider, models) => told.push([provider, models]) });
    return { clock, probing, asked: () => asked };
  };

  test("waits for a server that loads its model, and says so once", async () => {
    const { clock, probing, asked } = begin([undefined, undefined, 2]);
    await probing.first;
    expect(told).toEqual([["up", undefined]]);
    await clock.advance(10_000);
    await clock.advance(60_000);
    await clock.advance(3_600_000);
    expect([asked(), told]).toEqual([
      3,
      [
        ["up", undefined],
        ["up", 2],
      ],
    ]);
  });

  test("ends after a few times, and with its gateway", async () => {
    const patient = begin([]);
    await patient.probing.first;
    for (let time = 0; time < 9; time += 1) {
      await patient.clock.advance(300_000);
    }
    expect(patient.asked()).toBe(4);
    const closed = begin([]);
    await closed.probing.first;
    await closed.probing.close();
    await closed.clock.advance(300_000);
    expect(closed.asked()).toBe(1);
  });
});

test("`chorale models --probe` asks, and without it nobody is asked", async () => {
  const upstream = await startUpstream(llama, onTestFinished);
  const folder = mkdtempSync(join(tmpdir(), "chorale-probe-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const config = join(folder, "chorale.yaml");
  writeFileSync(config, `providers: {up: {kind: openai, dialect: llama.cpp, baseUrl: "${upstream.url}", models: [m]}}\n`);
  const models = async (...flags: readonly string[]) => {
    const out: string[] = [];
    const io = { out: (text: string) => void out.push(text), err: () => {}, serve: async () => 0, probe: async () => undefined };
    expect(await run(["models", "-c", config, ...flags], {}, io)).toBe(0);
    return out.join("");
  };
  expect(await models()).toMatch(/^up\/m +leaf +up +schema logprobs continuation tokenise$/m);
  expect(upstream.requests.length).toBe(0);
  expect(await models("--probe")).toMatch(/ schema logprobs continuation tokenise \(not images, audio\) 200 tokens$/m);
});

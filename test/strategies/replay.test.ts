import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { serve } from "../../src/serve.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { toldBy } from "../support/told.ts";
import type { OnFinished } from "../support/upstream.ts";

type Fields = Readonly<Record<string, unknown>>;

type Told = Awaited<ReturnType<typeof toldBy>>;

const files = new URL("../support/files", import.meta.url).pathname;

/** Two of the three have a price, so that unknown prices are played too. */
const prices = { alto: { in: 1, out: 4 }, tenor: { in: 3, out: 15 } };
const aliases = { a: "demo/alto", b: "demo/tenor", c: "demo/bass" };
const pace = { firstTokenMs: 3, tokensPerSecond: 0 };
const question = (content: string) => ({ messages: [{ role: "user", content }] });
const questions: readonly Fields[] = [question("What is 17 * 23?"), question("What is the capital of Australia?")];

async function ask(url: string, asked: Fields, stream: boolean): Promise<Told> {
  const body = {
    ...asked,
    chorale: { expose: "full" },
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
  };
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return toldBy(response);
}

/** Starts a gateway over these sections, asks every model everything, one after the other, and stops it. */
async function run(
  folder: string,
  sections: Fields,
  models: Fields,
  asked: readonly Fields[] = questions,
): Promise<Readonly<Record<string, Told>>> {
  const config = join(folder, "chorale.yaml");
  writeFileSync(
    config,
    JSON.stringify({
      server: { host: "127.0.0.1", port: 0, drainMs: 100 },
      store: { kind: "memory" },
      log: { level: "error" },
      models: { ...aliases, ...models },
      ...sections,
    }),
  );
  const lines: string[] = [];
  const gateway = await serve({ env: {}, config, probe: async () => undefined, logTo: { write: (line) => void lines.push(line) } });
  const answers: Record<string, Told> = {};
  try {
    for (const model of Object.keys(models)) {
      for (const body of asked) {
        for (const stream of [false, true]) {
          answers[`${model}: ${JSON.stringify(body)} ${stream ? "streamed" : "whole"}`] = await ask(
            gateway.url,
            { model, ...body },
            stream,
          );
        }
      }
    }
  } finally {
    await gateway.close();
  }
  expect(lines).toEqual([]);
  return answers;
}

function newFolder(onFinished: OnFinished): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-replay-"));
  onFinished(async () => rmSync(folder, { recursive: true }));
  for (const file of readdirSync(files)) {
    // Tables say for which embedder they were made.
    const text = readFileSync(join(files, file), "utf8").replaceAll(/(?<="model": )"([abc])"/g, (_, name: keyof typeof aliases) =>
      JSON.stringify(aliases[name]),
    );
    writeFileSync(join(folder, file), text);
  }
  return folder;
}

// Side by side: most of the time the models wait.
describe.concurrent("what was recorded is the same when it is replayed", () => {
  test.for([...strategies.values()].map(({ kind, examples }) => ({ kind, examples })))(
    "$kind: answers, votes, decisions, calls, usage and cost",
    async ({ kind, examples }, { expect, onTestFinished }) => {
      const folder = newFolder(onTestFinished);
      const path = join(folder, "history.jsonl");
      const models = Object.fromEntries(examples.map((example, index) => [`${kind}-${index + 1}`, example]));
      const recorded = await run(
        folder,
        { providers: { demo: { kind: "demo", ...pace, prices } }, record: { path, content: true } },
        models,
      );
      // An error that is the same twice would prove nothing.
      expect(Object.values(recorded).filter(({ status }) => status === 200).length).toBeGreaterThan(0);
      // Prices are not needed for the cost, only for what asks for them before a call.
      for (const timing of ["recorded", "none"]) {
        const replayed = await run(folder, { providers: { demo: { kind: "replay", path, timing, prices, models: "*" } } }, models);
        expect(replayed, timing).toEqual(recorded);
      }
    },
  );
});

test("whatever a request asks for is the same when it is replayed", async ({ onTestFinished }) => {
  const folder = newFolder(onTestFinished);
  const path = join(folder, "history.jsonl");
  const tool = { type: "function", function: { name: "lookup", parameters: { type: "object", properties: { city: { type: "string" } } } } };
  const schema = { type: "object", properties: { answer: { type: "string" } }, required: ["answer"], additionalProperties: false };
  const sum = question("What is 17 * 23?");
  const bodies: readonly Fields[] = [
    { ...sum, seed: 7, temperature: 0.5 },
    { ...sum, n: 2 },
    { ...sum, logprobs: true, top_logprobs: 2 },
    { ...sum, response_format: { type: "json_schema", json_schema: { name: "sum", schema, strict: true } } },
    { ...question("Call lookup for Paris."), tools: [tool], tool_choice: "required" },
    { ...sum, max_tokens: 2, stop: ["."] },
  ];
  const models = {
    bare: "demo/alto",
    exam: { kind: "vote", members: ["a", "b", { model: "c", samples: 3 }] },
    deep: {
      kind: "fuse",
      members: [{ kind: "vote", model: "a", samples: 3 }, "b", { model: "c", samples: 2 }],
      writer: "b",
      analysis: "a",
    },
    smart: { kind: "cascade", steps: [{ model: "exam", accept: { by: "agreement", min: 0.9 } }, { model: "deep" }] },
  };
  const recorded = await run(
    folder,
    { providers: { demo: { kind: "demo", ...pace, prices } }, record: { path, content: true } },
    models,
    bodies,
  );
  for (const timing of ["recorded", "none"]) {
    const replayed = await run(folder, { providers: { demo: { kind: "replay", path, timing, prices } } }, models, bodies);
    expect(replayed, timing).toEqual(recorded);
  }
});

describe.concurrent("without content nothing that was said is recorded", () => {
  test.for([...strategies.values()].map(({ kind, examples }) => ({ kind, examples })))(
    "$kind",
    async ({ kind, examples }, { expect, onTestFinished }) => {
      const folder = newFolder(onTestFinished);
      const path = join(folder, "history.jsonl");
      const models = Object.fromEntries(examples.map((example, index) => [`${kind}-${index + 1}`, example]));
      // The first is echoed, the others are answered by Canberra, 391 and their errors.
      const asked = [question("zyzzyva"), ...questions];
      await run(folder, { providers: { demo: { kind: "demo", ...pace } }, record: { path } }, models, asked);
      const text = readFileSync(path, "utf8");
      expect(text).toContain('"type":"request"');
      const decisions = text.match(/"decision":\{.*?\}(?=,"children"|\})/g) ?? [];
      for (const word of [/zyzzyva/i, /simulated/i, /canberra/i, /sydney/i]) expect(text).not.toMatch(word);
      for (const decision of decisions) expect(decision).not.toMatch(/\b(?:391|381|401)\b/);
    },
  );
});

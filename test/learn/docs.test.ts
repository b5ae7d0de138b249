import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { parse, stringify } from "yaml";
import { readItems } from "../../src/learn/import-items.ts";
import { openGrader } from "../../src/learn/grades.ts";
import { readLabelled } from "../../src/panel/route/labelled.ts";
import { readThresholds } from "../../src/panel/cascade/thresholds.ts";
import { readWeights } from "../../src/panel/voting/weights.ts";
import { serve } from "../../src/serve.ts";
import { chorale } from "./kit.ts";
import { linesOf } from "./items.ts";

const page = readFileSync(new URL("../../docs/learning.md", import.meta.url), "utf8");

/** Blocks with a file's name behind their language. */
const blocks = new Map([...page.matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(([, name = "", text = ""]) => [name, text]));
const commands = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, text = ""]) => text.trim().split("\n"));

const folder = mkdtempSync(join(tmpdir(), "chorale-learning-"));
const at = (name: string) => join(folder, name);

/** The words of a command, with files in the test's folder. */
function wordsOf(command: string): readonly string[] {
  const words = command.replace(/^npm run -s chorale -- /, "").split(" ");
  return words.map((word) => (/\.(?:jsonl|json|yaml|csv)$/.test(word) ? at(word) : word));
}

const questions = Array.from({ length: 60 }, (_, index) => ({ a: 12 + index, b: 11 + (index % 7) }));

/** Records what the page's own config does with questions whose answers are known. */
beforeAll(async () => {
  const config = parse(blocks.get("chorale.yaml") ?? "") as Record<string, unknown>;
  const own = { server: { host: "127.0.0.1", port: 0 }, store: { kind: "memory" }, log: { level: "error" } };
  const quick = { providers: { demo: { kind: "demo", firstTokenMs: 0, tokensPerSecond: 0 } } };
  writeFileSync(at("chorale.yaml"), stringify({ ...config, ...own, ...quick, record: { path: at("history.jsonl"), content: true } }));
  const gateway = await serve({ env: {}, config: at("chorale.yaml"), probe: async () => undefined, logTo: { write: () => {} } });
  for (const { a, b } of questions) {
    for (const model of ["exam", "smart"]) {
      const body = JSON.stringify({ model, messages: [{ role: "user", content: `What is ${a} * ${b}?` }] });
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", headers, body });
      expect(response.status, await response.text()).toBe(200);
    }
  }
  await gateway.close();
  writeFileSync(at("truth.jsonl"), linesOf(questions.map(({ a, b }) => ({ text: `What is ${a} * ${b}?`, answer: a * b }))));
  writeFileSync(at("items.jsonl"), blocks.get("items.jsonl") ?? "");
  mkdirSync(at("data"), { recursive: true });
  return () => rmSync(folder, { recursive: true });
}, 60_000);

describe("docs/learning.md", () => {
  test("has a section and a command for every job", async () => {
    const { err } = await chorale("learn");
    const jobs = err
      .trim()
      .replace(/^.*there are /, "")
      .split(", ");
    expect(jobs.length).toBeGreaterThan(4);
    for (const job of jobs) {
      expect(page).toContain(`\n## ${job}\n`);
      expect(
        commands.some((command) => command.includes(`learn ${job} `)),
        job,
      ).toBe(true);
    }
  });

  test.each(commands)("%s", async (command) => {
    const ran = await chorale(...wordsOf(command), ...(command.includes(" import ") ? [] : ["--config", at("chorale.yaml")]));
    expect(ran, ran.err).toMatchObject({ code: 0 });
    expect(ran.err).not.toContain("belong to no answer");
    expect(ran.out).toContain(command.includes(" learn ") ? "wrote " : "chemistry of ");
  });

  test("shows files as they are", () => {
    const shape = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.slice(0, 1).map(shape);
      if (typeof value !== "object" || value === null) return typeof value;
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
    };
    const chemistry = z.looseObject({ members: z.array(z.looseObject({})), sets: z.array(z.looseObject({})) });
    const shown = chemistry.parse(JSON.parse(blocks.get("chemistry.json") ?? ""));
    const made = chemistry.parse(JSON.parse(readFileSync(at("chemistry.json"), "utf8")));
    // The demo has no prices.
    const free = (list: readonly object[]) => list.map((one) => Object.fromEntries(Object.entries(one).filter(([key]) => key !== "usd")));
    expect(shape({ ...shown, members: free(shown.members), sets: free(shown.sets) })).toEqual(shape(made));

    expect(readWeights(Buffer.from(blocks.get("weights.json") ?? ""), ["demo/alto"])).toMatchObject({ ok: true });
    const weights = [blocks.get("weights.json") ?? "", readFileSync(at("weights.json"), "utf8")].map((text) =>
      Object.keys(JSON.parse(text) as object),
    );
    expect(weights[0]).toEqual(weights[1]);
    expect(readThresholds(Buffer.from(blocks.get("thresholds.json") ?? ""))).toMatchObject({ ok: true });
    const thresholds = [blocks.get("thresholds.json") ?? "", readFileSync(at("thresholds.json"), "utf8")].map((text) =>
      shape(JSON.parse(text)),
    );
    expect(thresholds[0]).toEqual(thresholds[1]);
    expect(readLabelled(blocks.get("labelled.jsonl") ?? "", ["demo/bass", "demo/alto"])).toHaveLength(1);
    expect(readItems(blocks.get("items.jsonl") ?? "", "items.jsonl")).toHaveLength(2);
    const grader = openGrader({
      grades: [blocks.get("grades.jsonl") ?? "", "grades.jsonl"],
      truth: [blocks.get("truth.jsonl") ?? "", "truth.jsonl"],
    });
    expect(grader.unused()).toBe(4);
  });

  test("its files are taken by a config that names them, and the replay config boots", async () => {
    const models = {
      exam: { kind: "vote", members: ["demo/alto", "demo/tenor", "demo/bass"], weights: "weights.json" },
      smart: {
        kind: "cascade",
        steps: [{ model: "demo/bass", accept: { by: "logprob" } }, { model: "demo/alto" }],
        thresholds: "thresholds.json",
      },
      near: { kind: "route", by: "embedding", members: ["demo/bass", "demo/alto"], embedder: "demo/alto", labelled: "labelled.jsonl" },
      learned: {
        kind: "route",
        by: "learned",
        members: ["demo/bass", "demo/alto"],
        embedder: "demo/alto",
        table: "router-table.json",
        strongShare: 0.3,
      },
    };
    writeFileSync(at("using.yaml"), stringify({ providers: { demo: { kind: "demo" } }, models }));
    const using = await chorale("check", "--config", at("using.yaml"));
    expect(using, using.err).toMatchObject({ code: 0, err: "" });

    writeFileSync(at("replay.yaml"), (blocks.get("replay.yaml") ?? "").replace("imported.jsonl", at("imported.jsonl")));
    const replay = await chorale("check", "--config", at("replay.yaml"));
    expect(replay, replay.err).toMatchObject({ code: 0, err: "" });
  });

  test("a file that was made for others is refused with its place and a fix", async () => {
    const models = {
      exam: { kind: "vote", members: ["demo/alto", "other/tenor"], weights: "weights.json" },
      smart: {
        kind: "cascade",
        steps: [{ model: "demo/tenor", accept: { by: "logprob" } }, { model: "demo/alto" }],
        thresholds: "thresholds.json",
      },
      near: { kind: "route", by: "embedding", members: ["demo/tenor", "demo/alto"], embedder: "demo/alto", labelled: "labelled.jsonl" },
      learned: {
        kind: "route",
        by: "learned",
        members: ["demo/alto", "demo/bass"],
        embedder: "demo/alto",
        table: "router-table.json",
        strongShare: 0.3,
      },
    };
    writeFileSync(at("others.yaml"), stringify({ providers: { demo: { kind: "demo" }, other: { kind: "demo" } }, models }));
    const { code, err } = await chorale("check", "--config", at("others.yaml"));
    expect(code).toBe(1);
    expect(err).toMatch(/models\.exam\.weights: the table was made for other members: it has no weight for "other\/tenor".*learn it anew/);
    expect(err).toMatch(/models\.smart\.thresholds: thresholds\.json was made for other members: demo\/bass, demo\/alto;.*learn it anew/);
    expect(err).toMatch(/models\.near\.labelled: line 1 has "demo\/bass", which is no member; the members are demo\/tenor, demo\/alto/);
    expect(err).toMatch(
      /models\.learned\.table: it was made for demo\/bass \(weak\) and demo\/alto \(strong\), not for demo\/alto and demo\/bass/,
    );
  });
});

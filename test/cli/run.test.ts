import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import type { Env } from "../../src/config/interpolate.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly served: readonly object[];
}

async function chorale(argv: readonly string[], env: Env = {}): Promise<Ran> {
  const [out, err, served]: [string[], string[], object[]] = [[], [], []];
  const code = await run(argv, env, {
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    serve: async (options) => {
      served.push(options);
      return 7;
    },
    probe: () => Promise.resolve(undefined),
  });
  return { code, out: out.join(""), err: err.join(""), served };
}

function file(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "chorale.yaml");
  writeFileSync(path, text);
  return path;
}

const example = `
providers:
  openai: {kind: openai, apiKey: sk-0123456789}
  gpu: {kind: openai, baseUrl: "http://gpu:8000/v1", dialect: vllm, models: [qwen3-4b], prices: {qwen3-4b: {in: 0.25, out: 2}}}
models:
  small: gpu/qwen3-4b
  exam: {kind: vote, members: [small, small, openai/gpt-5-mini], answer: auto}
  smart:
    kind: cascade
    steps:
      - {model: small, accept: {by: prefixLogprob, tokens: 48, min: -0.35}}
      - {model: exam, accept: {by: agreement, min: 0.6}}
      - {model: {kind: fallback, members: [openai/gpt-5-mini, gpu/qwen3-4b]}}
    budget: {usd: 0.05, calls: 16}
`;

describe("chorale", () => {
  test("serves when nothing else is asked for, and hands over the exit code", async () => {
    expect(await chorale([])).toMatchObject({ code: 7, served: [{}] });
    expect(await chorale(["serve", "--config", "a.yaml"])).toMatchObject({
      code: 7,
      served: [{ config: "a.yaml" }],
    });
    expect(await chorale(["-c", "a.yaml"])).toMatchObject({
      code: 7,
      served: [{ config: "a.yaml" }],
    });
  });

  test("guesses what an unknown command meant", async () => {
    expect(await chorale(["chekc"])).toMatchObject({
      code: 1,
      out: "",
      err: 'there is no command "chekc"; did you mean "check"?\n',
    });
    expect((await chorale(["xyzzy"])).err).toBe(
      'there is no command "xyzzy"; there are serve, check, explain, models, schema, learn, version, help\n',
    );
  });

  test.each([
    [["check", "--confg", "x"], "check: Unknown option '--confg'\n"],
    [["schema", "extra"], /^schema: Unexpected argument 'extra'/],
    [["check", "--config"], /^check: Option '-c, --config <value>' argument missing/],
  ])("refuses %j in one line", async (argv, message) => {
    expect(await chorale(argv)).toMatchObject({
      code: 1,
      out: "",
      err: typeof message === "string" ? message : expect.stringMatching(message),
    });
  });

  test.each([["version"], ["--version"], ["-v"]])("tells its version: %s", async (...argv) => {
    const { code, out } = await chorale(argv);
    expect([code, out]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });

  test.each([["help"], ["--help"], ["check", "-h"]])("helps: %s", async (...argv) => {
    const { code, out } = await chorale(argv);
    expect(code).toBe(0);
    for (const name of ["serve", "check", "models", "schema", "learn", "help"]) expect(out).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
  });
});

describe("chorale check", () => {
  test("prints for every virtual model its tree, calls, depth, tail, price and who takes tools", async () => {
    const path = file(example);
    const { code, out, err } = await chorale(["check", "--config", path]);
    expect([code, err]).toEqual([0, ""]);
    expect(out.replace(path, "chorale.yaml")).toMatchInlineSnapshot(`
      "chorale.yaml: 3 virtual models over 2 providers

      small = gpu/qwen3-4b

      exam (vote)
        calls 3, depth 1, nothing streams, worst price x3, with tools: single model small
        ├─ member 1: small = gpu/qwen3-4b
        ├─ member 2: small = gpu/qwen3-4b
        └─ member 3: openai/gpt-5-mini

      smart (cascade)
        calls 1..6, depth 4, streams small or openai/gpt-5-mini or gpu/qwen3-4b, worst price x6, with tools: single model openai/gpt-5-mini or gpu/qwen3-4b
        ├─ step 1: small = gpu/qwen3-4b
        ├─ step 2: exam (vote)
        │  ├─ member 1: small = gpu/qwen3-4b
        │  ├─ member 2: small = gpu/qwen3-4b
        │  └─ member 3: openai/gpt-5-mini
        └─ step 3: fallback
           ├─ member 1: openai/gpt-5-mini
           └─ member 2: gpu/qwen3-4b
      "
    `);
  });

  test("tells what is wrong in one message, without a stack", async () => {
    const path = file("models:\n  a: {kind: vote, members: [exam, b], quorum: {min: 3}}\n  exam: {kind: vot}\n");
    expect(await chorale(["check", "-c", path])).toMatchObject({
      code: 1,
      out: "",
      err: [
        `${path}: 2 problems`,
        "  line 2, models.a.quorum.min: asks for 3 answers of 2 seats",
        '  line 3, models.exam.kind: no node is of kind "vot"; did you mean "vote"?',
        "",
      ].join("\n"),
    });
  });

  test("warns of what is legal but hardly meant", async () => {
    const path = file(
      "providers: {gpu: {kind: openai, baseUrl: 'http://gpu/v1'}}\nmodels: {a: {kind: retry, model: gpu/x, budget: {usd: 1}}}",
    );
    expect(await chorale(["check", "-c", path])).toMatchObject({
      code: 0,
      err: "warning: models.a.budget.usd: no price is known of gpu/x, so that they count as nothing\n",
    });
  });

  test("checks what is offered without a file", async () => {
    const { code, out } = await chorale(["check"]);
    expect(code).toBe(0);
    expect(out).toContain("no config file: what the environment and this machine offer: 4 virtual models over 1 provider\n");
  });
});

describe("chorale models", () => {
  test("lists names, kinds, providers, prices and capabilities", async () => {
    const { code, out } = await chorale(["models"], { CHORALE_CONFIG: file(example) });
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "name               kind     provider  USD per million in/out   capabilities
      small              leaf     gpu       0.25 / 2                 schema logprobs tokenise
      exam               vote
      smart              cascade
      gpu/qwen3-4b       leaf     gpu       0.25 / 2                 schema logprobs tokenise
      openai/gpt-5-mini  leaf     openai    0.25 (cached 0.025) / 2  schema images files tools (not logprobs, audio) 400000 tokens
      "
    `);
  });

  test("fails as check does", async () => {
    expect(await chorale(["models", "-c", "/nowhere.yaml"])).toMatchObject({
      code: 1,
      err: "/nowhere.yaml: there is no such file\n",
    });
  });
});

test("chorale schema prints JSON Schema", async () => {
  const { code, out } = await chorale(["schema"]);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    $schema: "http://json-schema.org/draft-07/schema#",
    definitions: { node: {} },
  });
});

test("a bug is not told as a mistake of the operator", async () => {
  const io = {
    out: () => {},
    err: () => {},
    serve: () => Promise.reject(new TypeError("a bug")),
    probe: () => Promise.resolve(undefined),
  };
  await expect(run([], {}, io)).rejects.toThrow(TypeError);
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { startUpstream } from "../support/upstream.ts";

const config = (url: string) => `
providers:
  up: {kind: openai, baseUrl: "${url}", models: [a, b], prices: {a: {in: 1, out: 2}}}
keys:
  - {name: team-a, key: sk-team-a-0123456789, models: [exam], maxMultiplier: 1}
models:
  exam: {kind: vote, members: [a, b]}
  smart:
    kind: route
    by: rules
    rules: [{when: {text: prove}, model: {kind: fuse, members: [a, exam], writer: b}}]
    else: {kind: fallback, members: [a, b]}
`;

/** The command over a config; `docs/explain.md` brings its own. */
async function site(own?: string) {
  const upstream = await startUpstream({}, onTestFinished);
  const folder = mkdtempSync(join(tmpdir(), "chorale-explain-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "chorale.yaml");
  writeFileSync(path, own ?? config(upstream.url));
  const explain = async (...argv: readonly string[]) => {
    const [out, err]: [string[], string[]] = [[], []];
    const code = await run(
      ["explain", ...argv, "--config", path],
      {},
      {
        out: (text) => void out.push(text),
        err: (text) => void err.push(text),
        serve: () => Promise.resolve(7),
        probe: () => Promise.resolve(undefined),
      },
    );
    expect(upstream.connections).toBe(0);
    return { code, out: out.join(""), err: err.join("") };
  };
  const request = (body: unknown) => {
    const file = join(folder, "request.json");
    writeFileSync(file, typeof body === "string" ? body : JSON.stringify(body));
    return file;
  };
  return { explain, request };
}

describe("chorale explain", () => {
  test("draws the way of a usual request", async () => {
    const { explain } = await site();
    const { code, out, err } = await explain("smart");
    expect([code, err]).toEqual([0, "warning: no price is known of up/b\n"]);
    expect(out).toBe(
      [
        "smart (route)",
        "  calls 1..2, depth 2, streams up/a or up/b, turns with tools: up/a or up/b",
        "  at worst 0.00207 USD for the 50 % of calls whose price is known, without retries",
        "  no rule holds",
        "  └─ else: fallback",
        "     in this order, the next one when one fails",
        "     ├─ member 1: up/a",
        "     └─ member 2: up/b, maybe",
        "  legs",
        "    up/a: 1 call at most (2 attempts where it fails), at worst 0.00207 USD",
        "    up/b: maybe, 1 call at most (2 attempts where it fails), price unknown",
        "",
      ].join("\n"),
    );
  });

  test("explains the request of a file, whatever model that names", async () => {
    const { explain, request } = await site();
    const { out } = await explain("smart", request({ model: "other", messages: [{ role: "user", content: "Please prove it." }] }));
    expect(out).toContain("  rule 1 of 1 holds\n  └─ rule 1: fuse\n     ├─ member 1: up/a\n     ├─ member 2: exam (vote)\n");
    expect(out).toContain("calls 4, depth 2, nothing streams");
  });

  test("writes JSON when asked", async () => {
    const { explain } = await site();
    const { out } = await explain("exam", "--json");
    expect(JSON.parse(out)).toMatchObject({ model: "exam", plan: { calls: [2, 2] }, costCoverage: 0.5 });
  });

  test("asks for a key of the config when told", async () => {
    const { explain } = await site();
    expect(await explain("exam", "--key", "team-a")).toMatchObject({
      code: 1,
      err: expect.stringContaining("your key allows 1") as string,
    });
    expect(await explain("smart", "--key", "team-a")).toMatchObject({ code: 1, err: expect.stringContaining("may not use it") as string });
    expect(await explain("smart", "--key", "team-b")).toMatchObject({ code: 1, err: 'there is no key "team-b"; did you mean "team-a"?\n' });
  });

  test("tells what is wrong with what it was given in one line", async () => {
    const { explain, request } = await site();
    const said = async (...argv: readonly string[]) => {
      const { code, out, err } = await explain(...argv);
      expect([code, out]).toEqual([1, ""]);
      return err;
    };
    expect(await said()).toContain("expected a model and at most one file");
    expect(await said("a", "b", "c")).toContain("expected a model and at most one file");
    expect(await said("exma")).toBe('explain: there is no model "exma"; did you mean "exam"?\n');
    expect(await said("xyzzyxyzzy")).toBe('explain: there is no model "xyzzyxyzzy"; chorale models lists what there is\n');
    expect(await said("exam", "/nowhere.json")).toBe("/nowhere.json can not be read (ENOENT)\n");
    expect(await said("exam", request("{"))).toContain("is not valid JSON\n");
    expect(await said("exam", request([]))).toContain("must be a JSON object");
    expect(await said("exam", request({ messages: [] }))).toContain("Invalid 'messages'");
  });
});

test("docs/explain.md shows what the commands print", async () => {
  const docs = readFileSync(new URL("../../docs/explain.md", import.meta.url), "utf8");
  const blocks = [...docs.matchAll(/^```(\w+)(?: npm run chorale -- explain ([^\n]*))?\n(.*?)^```$/gms)];
  const block = (language: string) => blocks.find(([, is]) => is === language)?.[3] ?? "";
  const { explain, request } = await site(block("yaml"));
  const file = request(block("json"));
  const runs = blocks.filter(([, language]) => language === "text");
  expect(runs).toHaveLength(2);
  for (const [, , command = "", printed] of runs) {
    const { out } = await explain(...command.split(" ").map((word) => (word === "request.json" ? file : word)));
    expect(out).toBe(printed);
  }
});

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { chorale, newFolder } from "../learn/kit.ts";

const docs = readFileSync(new URL("../../docs/learning.md", import.meta.url), "utf8");
const shown = new Map([...docs.matchAll(/^```jsonl? (\S+)\n(.*?)^```$/gms)].map(([, name = "", text = ""]) => [name, text]));

function fileOf(name: string): string {
  const text = shown.get(name);
  if (text === undefined) throw new Error(`docs/learning.md shows no ${name}`);
  return text;
}

const chemistry = JSON.parse(fileOf("chemistry.json")) as Readonly<Record<string, unknown>>;
const routerTable = new URL("../../docs/examples/router-table.json", import.meta.url).pathname;

function check(text: string) {
  const folder = newFolder();
  const path = folder.write("table.json", text);
  return chorale("check", "--table", path).then(({ code, out, err }) => ({
    code,
    out: out.replace(path, "table.json"),
    err: err.replace(path, "table.json"),
  }));
}

describe("chorale check --table", () => {
  test.each([
    ["weights.json", /^table\.json: vote weights of 1 member\n$/],
    ["thresholds.json", /^table\.json: thresholds of 1 gate for .+, demo\/alto\n$/],
    ["chemistry.json", /^table\.json: chemistry of 2 members on 60 questions, 1 set\n$/],
    ["labelled.jsonl", /^table\.json: 1 labelled text for demo\/bass, demo\/alto\n$/],
  ])("tells what the documented %s holds", async (name, said) => {
    expect(await check(fileOf(name))).toEqual({ code: 0, out: expect.stringMatching(said) as string, err: "" });
  });

  test("reads a router table", async () => {
    expect(await chorale("check", "--table", routerTable)).toEqual({
      code: 0,
      out: `${routerTable}: a router table for demo/bass (weak) and demo/alto (strong), on 256 numbers of demo/alto\n`,
      err: "",
    });
  });

  test.each<readonly [string, object, RegExp]>([
    ["of another version", { version: 2 }, /is no chemistry of version 1: version/],
    ["with a key of its own", { extra: 1 }, /extra/],
    ["with a share above one", { pairs: [{ members: ["demo/alto", "demo/bass"], rescued: 2 }] }, /pairs 0 rescued/],
    ["of a stranger", { sets: [{ members: ["demo/alto", "demo/tenor"], coverage: 1, vote: 1 }] }, /"demo\/tenor", which is none/],
    ["with a set of another size", { sets: [{ members: ["demo/alto"], coverage: 1, vote: 1 }] }, /set of 1 members, where its size is 2/],
    ["with somebody twice", { sets: [{ members: ["demo/alto", "demo/alto"], coverage: 1, vote: 1 }] }, /twice in demo\/alto/],
  ])("refuses a chemistry %s", async (_, change, why) => {
    const { code, out, err } = await check(JSON.stringify({ ...chemistry, ...change }));
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(why);
  });

  test.each([
    ["", "it is neither a JSON object nor lines of labelled texts"],
    ["[]", "it is neither a JSON object nor lines of labelled texts"],
    [
      "{}",
      "it says neither `kind` nor `format`; there are vote-weights, cascade-thresholds, chorale/router-table, chemistry, and lines of",
    ],
    ['{"kind": "toString"}', 'it is of an unknown kind, "toString"; there are vote-weights'],
    ['{"version": 1, "kind": "vote-weights", "members": {"a": {}}}', "the file is no table of vote weights: members.a.weight"],
    ['{"kind": "cascade-thresholds", "version": 99}', "is no table of thresholds (version)"],
    ['{"format": "chorale/router-table", "version": 1}', "it is no router table of version 1"],
    ['{"text": "a", "scores": {"a": 1}}\n{"text": "b", "scores": {"b": 1}}', 'line 1 has no value of the member "b"'],
  ])("says what is wrong with %j", async (text, why) => {
    const { code, err } = await check(text);
    expect(code).toBe(1);
    expect(err).toContain(`table.json: ${why}`);
  });

  test("looks at every file, and at the config when that is given too", async () => {
    const folder = newFolder();
    const good = folder.write("good.json", fileOf("weights.json"));
    const config = folder.write("chorale.yaml", "providers: {demo: {kind: demo}}\nmodels: {small: demo/alto}\n");
    const missing = folder.path("missing.json");
    expect(await chorale("check", "--table", missing, "--table", good, "--config", config)).toEqual({
      code: 1,
      out: `${good}: vote weights of 1 member\n`,
      err: `${missing}: can not be read (ENOENT)\n`,
    });
    const { code, out } = await chorale("check", "--table", good, "--config", config);
    expect([code, out.includes("vote weights"), out.includes("small = demo/alto")]).toEqual([0, true, true]);
  });
});

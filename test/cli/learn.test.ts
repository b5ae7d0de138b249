import { describe, expect, test } from "vitest";
import { linesOf } from "../learn/items.ts";
import { chorale, newFolder, type Folder } from "../learn/kit.ts";

/** Thirty questions: a has all right, b every second, c every third. Wrong answers differ. */
function recorded(): Folder {
  const folder = newFolder();
  const items = Array.from({ length: 30 }, (_, index) => ({
    prompt: `How many are ${index}?`,
    answers: {
      a: { response: `${index}`, score: 1, usd: 0.003 },
      b: { response: index % 2 === 0 ? `${index}` : "1000", score: index % 2 === 0, usd: 0.001 },
      c: { response: index % 3 === 0 ? `${index}` : "2000", score: index % 3 === 0, usd: 0.0005 },
    },
  }));
  folder.write("items.jsonl", linesOf(items));
  return folder;
}

async function imported(): Promise<Folder> {
  const folder = recorded();
  expect(
    await chorale("learn", "import", "--from", folder.path("items.jsonl"), "--out", folder.path("h.jsonl"), "--provider", "p"),
  ).toEqual({
    code: 0,
    out: `30 items, answered by p/a, p/b, p/c\nwrote ${folder.path("h.jsonl")}\nwrote ${folder.path("h.grades.jsonl")}: 90 grades\n`,
    err: "",
  });
  return folder;
}

function learn(folder: Folder, what: string, ...options: readonly string[]) {
  return chorale("learn", what, "--from", folder.path("h.jsonl"), "--grades", folder.path("h.grades.jsonl"), ...options);
}

describe("chorale learn", () => {
  test("says what there is, and guesses", async () => {
    expect((await chorale("learn")).err).toBe(
      "learn: say what; there are vote-weights, cascade-thresholds, router-table, labelled, chemistry, import\n",
    );
    expect((await chorale("learn", "vote-weight")).err).toBe('there is no command "learn vote-weight"; did you mean "vote-weights"?\n');
    expect((await chorale("help")).out).toMatch(/^ {2}learn +Learns from recorded history: vote-weights, /m);
  });

  test("writes the file to --out and the report to standard output; else the file there and the report beside it", async () => {
    const folder = await imported();
    const piped = await learn(folder, "vote-weights");
    const filed = await learn(folder, "vote-weights", "--out", folder.path("w.json"));
    expect(folder.read("w.json")).toBe(piped.out);
    expect(filed).toEqual({ code: 0, out: `${piped.err}wrote ${folder.path("w.json")}\n`, err: "" });
    // ln((right + 1) (K - 1) / (total - right + 1)) with K - 1 = 11: of ten pairs of wrong answers none is the same, and one is added.
    expect(JSON.parse(piped.out)).toEqual({
      version: 1,
      kind: "vote-weights",
      by: "grades",
      classes: 12,
      members: {
        "p/a": { weight: Number(Math.log(31 * 11).toFixed(4)), right: 30, total: 30 },
        "p/b": { weight: Number(Math.log(11).toFixed(4)), right: 15, total: 30 },
        "p/c": { weight: Number(Math.log((11 / 21) * 11).toFixed(4)), right: 10, total: 30 },
      },
    });
  });

  test("prints which members belong together", async () => {
    const folder = await imported();
    const { code, out } = await learn(folder, "chemistry", "--size", "2", "--out", folder.path("c.json"));
    expect(code).toBe(0);
    expect(out).toMatch(/^p\/b \+ p\/c +50\.0 % +33\.3 % +0\.00/m);
    expect(out).toMatch(
      /^sets of 2 +a vote is right +any is right +cost\np\/a \+ p\/c +100\.0 % +100\.0 % +\$0\.00350\np\/a \+ p\/b +100\.0 % +100\.0 % +\$0\.00400\np\/b \+ p\/c +50\.0 % +66\.7 % +\$0\.00150$/m,
    );
  });

  test("knows members by the names that the config gives them", async () => {
    const folder = await imported();
    folder.write(
      "chorale.yaml",
      "providers: {p: {kind: demo}}\nmodels: {small: tiny, tiny: p/c, panel: {kind: vote, members: [small, p/a]}}\n",
    );
    const config = ["--config", folder.path("chorale.yaml")];
    const { out } = await learn(folder, "vote-weights", "--members", "small, p/a", ...config);
    expect(Object.keys((JSON.parse(out) as { members: object }).members)).toEqual(["small", "p/a"]);
    expect((await learn(folder, "vote-weights", "--members", "panel,p/a", ...config)).err).toBe(
      "learn vote-weights: panel is a strategy of the config, and an upstream model is needed\n",
    );
    expect((await learn(folder, "vote-weights", "--members", "p/aa,p/b", ...config)).err).toBe(
      'learn vote-weights: this history has no answers of p/aa; did you mean "p/a"?\n',
    );
  });

  test("without grades weighs by agreement, and warns", async () => {
    const folder = await imported();
    const { err, out } = await chorale("learn", "vote-weights", "--from", folder.path("h.jsonl"), "--least", "5");
    expect(err).toContain("warning: nothing is graded; these weights tell who agrees with the others, not who is right\n");
    expect(JSON.parse(out)).toMatchObject({ by: "agreement with the others" });
  });

  test("reads the full files beside a history, and several of them", async () => {
    const folder = await imported();
    const lines = folder.read("h.jsonl").trim().split("\n");
    folder.write("h.jsonl.1", `${lines.slice(0, 45).join("\n")}\n{"v": 1, "ty`);
    folder.write("h.jsonl", `${lines.slice(45, 60).join("\n")}\n`);
    folder.write("more.jsonl", `${lines.slice(60).join("\n")}\n`);
    const { out, err } = await learn(folder, "vote-weights", "--from", folder.path("more.jsonl"));
    expect(JSON.parse(out)).toMatchObject({ members: { "p/a": { right: 30, total: 30 } } });
    expect(err).toContain("warning: 1 lines are no records, and were skipped\n");
  });

  test("warns of grades that belong to no answer", async () => {
    const folder = await imported();
    folder.write("h.grades.jsonl", `${folder.read("h.grades.jsonl")}{"requestId": "import-99", "upstream": "p/a", "score": 1}\n`);
    expect((await learn(folder, "labelled")).err).toContain("warning: 1 lines of grades or truth belong to no answer of this history\n");
  });

  test("refuses to write an import over a recording", async () => {
    const folder = await imported();
    const { code, err } = await chorale("learn", "import", "--from", folder.path("items.jsonl"), "--out", folder.path("h.jsonl"));
    expect([code, err]).toEqual([
      1,
      `learn import: ${folder.path("h.jsonl")} is there already, and may be a recording: name another file\n`,
    ]);
  });

  test.each<readonly [string, readonly string[], string | RegExp]>([
    ["an option of another job", ["vote-weights", "--share", "0.5"], "learn vote-weights: Unknown option '--share'\n"],
    ["a number out of range", ["chemistry", "--size", "9"], "learn: `--size 9` is no number from 2 to 3\n"],
    ["a number below its bound", ["vote-weights", "--classes", "1"], "learn: `--classes 1` is no number from 2 up\n"],
    [
      "few questions",
      ["chemistry", "--least", "31"],
      /^learn chemistry: 30 questions were answered by every member and graded; fewer than 31/,
    ],
    ["no embedder", ["router-table", "--weak", "p/b", "--strong", "p/a"], "learn: `--embedder` is needed\n"],
    ["a member twice", ["labelled", "--members", "p/a,p/a"], 'learn: "p/a" is named twice\n'],
    ["two targets", ["cascade-thresholds", "--model", "x", "--share", "1", "--accuracy", "1"], /^learn: give either `--share`/],
    [
      "an unknown way to compare",
      ["labelled", "--answer", "loosely"],
      "learn: `--answer loosely` is none of auto, exact, choice, number, json\n",
    ],
    ["no grades file", ["labelled", "--truth", "/nowhere"], "learn labelled: can not read /nowhere (ENOENT)\n"],
  ])("refuses %s in one line", async (_, [what = "", ...options], message) => {
    const folder = await imported();
    expect(await learn(folder, what, ...options)).toMatchObject({
      code: 1,
      out: "",
      err: typeof message === "string" ? message : expect.stringMatching(message),
    });
  });

  test("refuses a history that is not there, and one of another version", async () => {
    const folder = newFolder();
    expect((await chorale("learn", "labelled")).err).toBe("learn: `--from` is needed: the file to learn from\n");
    expect((await chorale("learn", "labelled", "--from", "/nowhere.jsonl")).err).toBe(
      "learn labelled: there is no history /nowhere.jsonl\n",
    );
    const path = folder.write("new.jsonl", '{"v": 2, "type": "leg"}\n');
    expect((await chorale("learn", "labelled", "--from", path)).err).toBe(
      `learn labelled: ${path}: history of version 2; this gateway reads version 1\n`,
    );
  });

  test("tells which embedder failed, and what does not embed", async () => {
    const folder = await imported();
    folder.write(
      "chorale.yaml",
      "providers: {gpu: {kind: openai, baseUrl: 'http://127.0.0.1:9/v1', retry: {attempts: 1}}}\nmodels: {all: {kind: retry, model: gpu/x}}\n",
    );
    const config = ["--weak", "p/b", "--strong", "p/a", "--config", folder.path("chorale.yaml")];
    expect((await learn(folder, "router-table", "--embedder", "gpu/none", ...config)).err).toMatch(
      /^learn router-table: the embedder failed after 0 of 30 texts: /,
    );
    expect((await learn(folder, "router-table", "--embedder", "all", ...config)).err).toMatch(
      /^learn router-table: all is a strategy of the config/,
    );
    expect((await learn(folder, "router-table", "--embedder", "nobody/x", ...config)).err).toMatch(/there is no model "nobody\/x"/);
  });
});

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openHistory, type HistoryOptions } from "../../src/telemetry/history.ts";

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-history-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

type Trouble = readonly [why: string, lost: number];

function open(given: Partial<HistoryOptions> & { readonly path: string }) {
  const troubles: Trouble[] = [];
  const onTrouble = (...trouble: Trouble) => void troubles.push(trouble);
  return { history: openHistory({ maxMb: 1, keep: 2, redact: (text) => text, onTrouble, ...given }), troubles };
}

function linesOf(path: string): readonly unknown[] {
  const text = readFileSync(path, "utf8");
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}

test("a record is one line, in order, and everything is written when it closes", async () => {
  const path = join(newFolder(), "deep/inside/history.jsonl");
  const { history } = open({ path });
  const records = Array.from({ length: 500 }, (_, n) => ({ n, text: "one\ntwo — ☃" }));
  for (const record of records) history.append(record);
  await history.close();
  expect(linesOf(path)).toEqual(records);
});

test("does not go on in a line that a killed process left half written", async () => {
  const path = join(newFolder(), "history.jsonl");
  writeFileSync(path, '{"n":0}\n{"n":');
  const { history } = open({ path });
  history.append({ n: 1 });
  await history.close();
  expect(readFileSync(path, "utf8")).toBe('{"n":0}\n{"n":\n{"n":1}\n');
});

test("goes on in a file that is there, and nobody else may read it", async () => {
  const path = join(newFolder(), "history.jsonl");
  for (const n of [1, 2]) {
    const { history } = open({ path });
    history.append({ n });
    await history.close();
  }
  expect(linesOf(path)).toEqual([{ n: 1 }, { n: 2 }]);
  expect(statSync(path).mode & 0o077).toBe(0);
});

test("a full file is put aside, the oldest goes, and no line is cut or lost on the way", async () => {
  const path = join(newFolder(), "history.jsonl");
  const { history, troubles } = open({ path, maxMb: 0.01, keep: 2 });
  const line = (n: number) => ({ n, text: "x".repeat(2000) });
  for (let n = 0; n < 20; n += 1) history.append(line(n));
  await history.close();
  const kept = [`${path}.2`, `${path}.1`, path].flatMap(linesOf);
  expect(existsSync(`${path}.3`)).toBe(false);
  for (const file of [path, `${path}.1`, `${path}.2`]) expect(statSync(file).size).toBeLessThanOrEqual(0.01 * 1024 * 1024);
  // Five lines of two kilobytes fit: the last twenty are four files, of which three are left.
  expect(kept).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19].map(line));
  expect(troubles).toEqual([]);
});

test("one line that is larger than a file has a file of its own", async () => {
  const path = join(newFolder(), "history.jsonl");
  const { history } = open({ path, maxMb: 0.001, keep: 5 });
  for (const text of ["a", "b".repeat(5000), "c"]) history.append({ text });
  await history.close();
  expect([`${path}.2`, `${path}.1`, path].map((file) => (linesOf(file)[0] as { readonly text: string }).text[0])).toEqual(["a", "b", "c"]);
});

test("secrets are taken out of texts and of the names of fields, and the line stays JSON", async () => {
  const path = join(newFolder(), "history.jsonl");
  const { history } = open({ path, redact: (text) => text.replaceAll(/hidden\S*/g, "[redacted]") });
  history.append({
    said: 'hidden-1"quoted\\',
    votes: { "hidden-2": 1, yes: 2 },
    list: ["hidden-3\nnext"],
    number: 4,
    none: null,
    gone: undefined,
  });
  await history.close();
  expect(linesOf(path)).toEqual([
    { said: "[redacted]", votes: { "[redacted]": 1, yes: 2 }, list: ["[redacted]\nnext"], number: 4, none: null },
  ]);
});

test("a full disk is told once and costs records, and whoever appends hears nothing of it", async () => {
  const folder = newFolder();
  const path = join(folder, "history.jsonl");
  symlinkSync("/dev/full", path);
  const { history, troubles } = open({ path });
  for (let n = 0; n < 3; n += 1) {
    history.append({ n, text: "x".repeat(300_000) });
    await expect.poll(() => troubles.length).toBe(1);
  }
  expect(troubles).toEqual([["ENOSPC", 1]]);
  await history.close();
});

test("when the disk has room again the next records are whole, and the loss is told", async () => {
  const folder = newFolder();
  const path = join(folder, "history.jsonl");
  symlinkSync("/dev/full", path);
  const { history, troubles } = open({ path });
  history.append({ n: 1, text: "x".repeat(300_000) });
  await expect.poll(() => troubles.length).toBe(1);
  unlinkSync(path);
  writeFileSync(path, '{"n":0');
  history.append({ n: 2 });
  await history.close();
  expect(troubles).toEqual([
    ["ENOSPC", 1],
    ["it can be written again", 1],
  ]);
  expect(readFileSync(path, "utf8").split("\n").at(-2)).toBe('{"n":2}');
});

test("a place that can not be written is an error at once", () => {
  const folder = newFolder();
  expect(() => open({ path: folder })).toThrow(/EISDIR/);
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test, vi } from "vitest";
import { sqliteStore, type SqliteOptions } from "../../src/store/sqlite.ts";
import { KeptText, type Lease, type Store } from "../../src/store/store.ts";

// Children start slowly on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const noon = Date.UTC(2026, 10, 23, 12);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-sqlite-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const newPath = () => join(newFolder(), "chorale.db");

function open(path: string, options: Omit<SqliteOptions, "path"> = {}): Store {
  const store = sqliteStore({ path, ...options });
  onTestFinished(() => store.close());
  return store;
}

async function lease(store: Store, now: number): Promise<Lease> {
  const admitted = await store.admit({ key: "ada", limits: {}, usd: 1, now, expiresMs: 1000 });
  if (!admitted.ok) throw new Error(`refused by ${admitted.limit}`);
  return admitted.lease;
}

const spend = async (store: Store, usd: number, now = noon) => store.settle(await lease(store, now), { usd, tokens: 1, now });

/** Runs a script with a store as `store` in a process of its own; its lines are read one by one. */
function startChild(path: string, script: string, { shell = "" } = {}) {
  const source = `
    import { sqliteStore } from ${JSON.stringify(new URL("../../src/store/sqlite.ts", import.meta.url).href)};
    const now = ${noon};
    const store = sqliteStore({
      path: ${JSON.stringify(path)},
      onWrite: (error) => console.log(error ? "failed" : "written"),
    });
    const spend = async (usd) => {
      const { lease } = await store.admit({ key: "ada", limits: {}, usd, now, expiresMs: 1000 });
      await store.settle(lease, { usd, tokens: 1, now });
    };
    ${script}`;
  const run = `${shell} exec "$0" --input-type=module --eval "$1"`;
  const child = spawn("sh", ["-c", run, process.execPath, source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    line: async () => (await lines.next()).value,
    ended: async () => (await ended) as [code: number | null, signal: string | null],
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Keeps a child alive: the timers of a store do not. */
const stay = "setInterval(() => {}, 60_000);";

const count = (path: string, table: string) => {
  const database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"];
  database.close();
  return rows;
};

test("survives a restart", async () => {
  const path = newPath();
  const first = open(path);
  await spend(first, 0.1);
  await spend(first, 0.2);
  await spend(first, 5, noon - hourMs);
  await first.putRequest({ id: "one", key: "ada", at: noon, body: new KeptText(`{"chunks":[1,null,"é"]}`) });
  await first.set("cache", "kept", { value: "x", ttlMs: 1000, now: noon });
  await first.set("cache", "replaced", { value: "y", ttlMs: 1000, now: noon });
  await first.set("cache", "replaced", { value: "z", ttlMs: 2000, now: noon });
  await first.close();

  const second = open(path);
  await spend(second, 0.3);
  expect(await second.spent("ada", "minute", noon)).toBe(0.6);
  expect(await second.spent("ada", "hour", noon - 1)).toBe(5);
  expect(await second.spent("ada", "day", noon)).toBe(5.6);
  expect(await second.spent("ada", "month", noon)).toBe(5.6);
  expect(await second.spent("bob", "month", noon)).toBe(0);
  const kept = await second.getRequest("ada", "one", noon);
  expect(kept).toMatchObject({ id: "one", key: "ada", at: noon });
  expect(kept?.body.json()).toBe(`{"chunks":[1,null,"é"]}`);
  expect(await second.getRequest("bob", "one", noon)).toBeUndefined();
  expect(await second.getRequest("ada", "one", noon + dayMs)).toBeUndefined();
  expect(await second.get("cache", "kept", noon)).toBe("x");
  expect(await second.get("cache", "replaced", noon + 1500)).toBe("z");
  await second.close();

  expect(await open(path).spent("ada", "day", noon)).toBe(5.6);
});

test("gives back what was held when the process ended", async () => {
  const path = newPath();
  const first = open(path);
  const held = await lease(first, noon);
  await first.close();
  const second = open(path);
  const limits = { concurrency: 1, budget: { usd: 1, per: "day" } } as const;
  const admitted = await second.admit({ key: "ada", limits, usd: 1, now: noon, expiresMs: 1000 });
  expect(admitted).toMatchObject({ ok: true });
  await second.settle(held, { usd: 1, tokens: 0, now: noon });
  expect(await second.spent("ada", "day", noon)).toBe(0);
});

test("survives kill -9 with what was written behind", async () => {
  const path = newPath();
  const child = startChild(
    path,
    `${stay}
    await spend(0.25);
    await spend(0.5);
    await store.putRequest({ id: "one", key: "ada", at: now, body: { json: () => "1", size: 1 } });
    await store.set("cache", "one", { value: "x", ttlMs: 1000, now });`,
  );
  expect(await child.line()).toBe("written");
  await child.kill();
  const store = open(path);
  expect(await store.spent("ada", "month", noon)).toBe(0.75);
  expect((await store.getRequest("ada", "one", noon))?.body.json()).toBe("1");
  expect(await store.get("cache", "one", noon)).toBe("x");
});

test("writes once, 500 ms after the first change", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const onWrite = vi.fn();
  const store = open(newPath(), { onWrite });
  await spend(store, 1);
  vi.advanceTimersByTime(400);
  await spend(store, 2);
  expect(onWrite).not.toHaveBeenCalled();
  vi.advanceTimersByTime(100);
  expect(onWrite.mock.calls).toEqual([[undefined]]);
  vi.advanceTimersByTime(60_000);
  expect(onWrite).toHaveBeenCalledOnce();
  await spend(store, 3);
  vi.advanceTimersByTime(500);
  expect(onWrite).toHaveBeenCalledTimes(2);
});

test("does not keep a process alive", async () => {
  const child = startChild(newPath(), "await spend(1);");
  expect(await child.line()).toBeUndefined();
  expect(await child.ended()).toEqual([0, null]);
});

// The limit on the size of a file, in blocks of 512 or 1024 bytes, stands for a full disk.
const fullDisk = { shell: "ulimit -f 4000;" };
const tooLarge = `await store.set("cache", "one", { value: "x".repeat(8_000_000), ttlMs: 1000, now });`;

test("writes spend though the rest can not be written", async () => {
  const path = newPath();
  const child = startChild(path, `${stay} ${tooLarge} await spend(0.25);`, fullDisk);
  expect(await child.line()).toBe("failed");
  expect(await child.line()).toBe("written");
  await child.kill();
  const store = open(path);
  expect(await store.spent("ada", "day", noon)).toBe(0.25);
  expect(await store.get("cache", "one", noon)).toBeUndefined();
});

test("tries again after a write that failed, and serves on", async () => {
  const path = newPath();
  const child = startChild(
    path,
    `${stay} ${tooLarge}
    const { log } = console;
    console.log = async (line) => {
      log(line);
      if (line !== "failed") return;
      await store.set("cache", "one", { value: "x", ttlMs: 1000, now });
      await spend(0.5);
    };`,
    fullDisk,
  );
  expect(await child.line()).toBe("failed");
  // Spend alone, then the rest.
  expect(await child.line()).toBe("written");
  expect(await child.line()).toBe("written");
  await child.kill();
  const store = open(path);
  expect(await store.spent("ada", "day", noon)).toBe(0.5);
  expect(await store.get("cache", "one", noon)).toBe("x");
});

test("says when what was pending could not be written, but writes spend", async () => {
  const path = newPath();
  const child = startChild(
    path,
    `${tooLarge} await spend(0.25);
    await store.close().catch((error) => console.log(error.message));`,
    fullDisk,
  );
  expect(await child.line()).toBe("failed");
  expect(await child.line()).toBe("written");
  expect(await child.line()).toContain(`The store ${path} was not written: `);
  expect(await child.ended()).toEqual([0, null]);
  expect(await open(path).spent("ada", "day", noon)).toBe(0.25);
});

test("writes much in parts", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const onWrite = vi.fn();
  const path = newPath();
  const store = open(path, { onWrite });
  const value = "x".repeat(400_000);
  for (let i = 0; i < 10; i += 1) await store.set("cache", `v${i}`, { value, ttlMs: 1000, now: noon });
  vi.advanceTimersByTime(500);
  expect(onWrite).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(400);
  expect(onWrite.mock.calls.length).toBeGreaterThan(2);
  await store.close();
  expect(count(path, "value")).toBe(10);
});

test("reads request records that memory no longer has, and writes nothing for that", async () => {
  const onWrite = vi.fn();
  const store = open(newPath(), { onWrite });
  for (let i = 0; i < 3000; i += 1) await store.putRequest({ id: `r${i}`, key: "ada", at: noon, body: new KeptText(String(i)) });
  const kept = await store.getRequest("ada", "r0", noon);
  expect(kept).toMatchObject({ id: "r0", key: "ada", at: noon });
  expect(kept?.body.json()).toBe("0");
  expect(await store.getRequest("ada", "r0", noon + dayMs)).toBeUndefined();
  expect(await store.getRequest("bob", "r0", noon)).toBeUndefined();
  expect(onWrite).not.toHaveBeenCalled();
});

test("prunes what nobody can see any more", async () => {
  const path = newPath();
  const first = open(path, { bounds: { requests: 3, values: 3 } });
  for (let i = 0; i < 10; i += 1) {
    await first.putRequest({ id: `r${i}`, key: "ada", at: noon, body: new KeptText(String(i)) });
    await first.set("cache", `v${i}`, { value: "x", ttlMs: 1000, now: noon });
    await spend(first, 1, noon + i * dayMs);
  }
  await first.close();
  expect(count(path, "request")).toBe(0);
  expect(count(path, "value")).toBe(0);
  // Minute, hour, two days, two months: the minute and the hour before the last were without spend.
  expect(count(path, "spend")).toBe(1 + 1 + 2 + 2);

  for (let i = 0; i < 10; i += 1) {
    const next = open(path, { bounds: { requests: 3, values: 3 } });
    await next.putRequest({ id: `r${i}`, key: "ada", at: noon, body: new KeptText(String(i)) });
    await next.set("cache", `v${i}`, { value: "x", ttlMs: 1000, now: noon });
    await next.close();
  }
  expect(count(path, "request")).toBe(3);
  expect(count(path, "value")).toBe(3);

  const third = open(path, { bounds: { values: 1 } });
  expect(await third.get("cache", "v9", noon)).toBe("x");
  await third.close();
  expect(count(path, "value")).toBe(1);
});

test("makes the folder, and a file that only its owner reads", async () => {
  const path = join(newFolder(), "var", "lib", "chorale.db");
  await spend(open(path), 1);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

const refusals: [what: string, reason: RegExp, prepare: (path: string) => void][] = [
  [
    "a newer schema",
    /a newer Chorale wrote it \(schema 99, this one knows 1\)/,
    (path) => {
      const database = new DatabaseSync(path);
      database.exec("CREATE TABLE later (x); PRAGMA user_version = 99");
      database.close();
    },
  ],
  [
    "another program's database",
    /belongs to another program/,
    (path) => {
      const database = new DatabaseSync(path);
      database.exec("CREATE TABLE theirs (x)");
      database.close();
    },
  ],
  ["no database", /not a SQLite database/, (path) => writeFileSync(path, "x".repeat(5000))],
  ["a folder", /unable to open/, (path) => mkdirSync(path)],
];

test.each(refusals)("refuses %s with one clear message", (_, reason, prepare) => {
  const path = newPath();
  prepare(path);
  expect(() => sqliteStore({ path })).toThrow(reason);
  expect(() => sqliteStore({ path })).toThrow(`The store ${path} cannot be opened: `);
});

test("refuses a folder that can not be made", () => {
  const path = newPath();
  writeFileSync(path, "");
  const inside = join(path, "deeper", "chorale.db");
  expect(() => sqliteStore({ path: inside })).toThrow(`The store ${inside} cannot be opened: ENOTDIR`);
});

test("leaves a newer file as it was", () => {
  const path = newPath();
  const database = new DatabaseSync(path);
  database.exec("PRAGMA user_version = 2");
  database.close();
  const before = readFileSync(path);
  expect(() => sqliteStore({ path })).toThrow(/newer/);
  expect(readFileSync(path)).toEqual(before);
});

test("refuses a file that another process uses, until that is gone", async () => {
  const path = newPath();
  const child = startChild(path, `${stay} await spend(1);`);
  expect(await child.line()).toBe("written");
  expect(() => sqliteStore({ path })).toThrow(/another gateway has it open/);
  await child.kill();
  expect(await open(path).spent("ada", "day", noon)).toBe(1);
});

test("refuses a file that this process uses, without giving it up", async () => {
  const path = newPath();
  const store = open(path);
  expect(() => sqliteStore({ path })).toThrow(/another gateway has it open/);
  await spend(store, 1);
  await store.close();
  expect(await open(path).spent("ada", "day", noon)).toBe(1);
});

test("takes calls after it was closed, and writes none", async () => {
  const path = newPath();
  const store = open(path);
  const late = await lease(store, noon);
  await store.close();
  await store.settle(late, { usd: 1, tokens: 1, now: noon });
  await store.close();
  expect(await open(path).spent("ada", "day", noon)).toBe(0);
});

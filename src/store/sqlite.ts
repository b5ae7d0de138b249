import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Bounds, defaultBounds, memoryStore, pair, type StoredSpend, type StoredValue } from "./memory.ts";
import { requestTtlMs } from "./request-ring.ts";
import { KeptText, type Store } from "./store.ts";
import { pers, windowOf } from "./windows.ts";

export interface SqliteOptions {
  readonly path: string;
  readonly bounds?: Partial<Bounds>;
  /** Called after each write; with the error when it failed, it is then tried again. */
  readonly onWrite?: (error?: Error) => void;
}

const version = 1;
const writeEveryMs = 500;
/** A write stops the whole process, so it is cut to about 5 ms; the rest follows soon. */
const charactersAtOnce = 500_000;
const restAfterMs = 20;
const pruneEveryMs = 60_000;
/** Newer request records than these are served from memory, older ones from the file. */
const requestsInMemory = 1000;

const schema = `
  CREATE TABLE spend (
    per TEXT, start INTEGER, key TEXT, nanos REAL, PRIMARY KEY (per, start, key)
  ) WITHOUT ROWID;
  CREATE TABLE request (
    seq INTEGER PRIMARY KEY, key TEXT, id TEXT, at INTEGER, body TEXT, UNIQUE (key, id)
  );
  CREATE INDEX request_at ON request (at);
  CREATE TABLE value (
    seq INTEGER PRIMARY KEY, space TEXT, key TEXT, expiresAt INTEGER, value TEXT, UNIQUE (space, key)
  );
  CREATE INDEX value_expiry ON value (expiresAt);
  PRAGMA user_version = ${version};
`;

const prepare = (database: DatabaseSync) => ({
  addSpend: database.prepare(
    `INSERT INTO spend (per, start, key, nanos) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET nanos = nanos + excluded.nanos`,
  ),
  // REPLACE gives a new `seq`: what is written again becomes the newest.
  putRequest: database.prepare("REPLACE INTO request (key, id, at, body) VALUES (?, ?, ?, ?)"),
  readSpends: database.prepare("SELECT key, per, start, nanos FROM spend"),
  readValues: database.prepare("SELECT space, key, value, expiresAt FROM value ORDER BY seq"),
  readRequest: database.prepare("SELECT at, body FROM request WHERE key = ? AND id = ? AND at > ?"),
  putValue: database.prepare("REPLACE INTO value (space, key, expiresAt, value) VALUES (?, ?, ?, ?)"),
  dropValue: database.prepare("DELETE FROM value WHERE space = ? AND key = ?"),
  boundRequests: database.prepare("DELETE FROM request WHERE seq <= (SELECT max(seq) FROM request) - ?"),
  pruneRequests: database.prepare("DELETE FROM request WHERE at <= ?"),
  pruneValues: database.prepare("DELETE FROM value WHERE expiresAt <= ?"),
  pruneSpend: database.prepare("DELETE FROM spend WHERE per = ? AND start < ?"),
});

/** Takes the file for this process, and checks or makes what is in it. */
function ready(database: DatabaseSync) {
  // One process at a time: limits are served from memory, so a second one would not see our spend.
  database.exec("PRAGMA locking_mode = EXCLUSIVE");
  const found = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  const isNew = database.prepare("SELECT 1 FROM sqlite_schema").get() === undefined;
  if (found > version) throw new Error(`a newer Chorale wrote it (schema ${found}, this one knows ${version})`);
  if (found === 0 && !isNew) throw new Error("it belongs to another program");
  // Survives the end of the process without waiting for the disk at each write.
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  if (isNew) database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`);
}

function toReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "errcode" in error ? Number(error.errcode) & 0xff : 0;
  if (code === 5) return "another gateway has it open; give each a path of its own";
  return code === 26 ? "it is not a SQLite database" : error.message;
}

function connect(path: string): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true });
  // Records may hold what users wrote, so the file is private from the start. One that exists is
  // left alone: to close it here would give up the lock of a store that this process has open.
  if (!existsSync(path)) closeSync(openSync(path, "ax", 0o600));
  return new DatabaseSync(path, { timeout: 500 });
}

type Statements = ReturnType<typeof prepare>;
type RequestRow = readonly [key: string, id: string, at: number, body: string];
/** Without `value` the row goes. */
type ValueRow = Pick<StoredValue, "space" | "key"> & Partial<StoredValue>;

/** Spares a failing disk's changes from filling the memory: the oldest go. */
function putBounded<V>(rows: Map<string, V>, id: string, { row, max }: { row: V; max: number }) {
  rows.delete(id);
  rows.set(id, row);
  for (const oldest of rows.keys()) {
    if (rows.size <= max) break;
    rows.delete(oldest);
  }
}

/** What is to be written: of each row only its last state. */
function newPending(limits: Bounds) {
  // By key and minute; never let go, however long the disk fails.
  const spends = new Map<string, { readonly key: string; readonly at: number; nanos: number }>();
  const requests = new Map<string, RequestRow>();
  const values = new Map<string, ValueRow>();
  return {
    spend(key: string, at: number, nanos: number) {
      const { start } = windowOf("minute", at);
      const id = pair(key, String(start));
      const spend = spends.get(id);
      if (spend) spend.nanos += nanos;
      else spends.set(id, { key, at: start, nanos });
    },
    request: (row: RequestRow) => putBounded(requests, pair(row[0], row[1]), { row, max: limits.requests }),
    requestOf: (key: string, id: string): RequestRow | undefined => requests.get(pair(key, id)),
    value: (row: ValueRow) => putBounded(values, pair(row.space, row.key), { row, max: limits.values + 10_000 }),
    isEmpty: () => spends.size + requests.size + values.size === 0,
    /** Writes all spend, and so many characters of the rest. Returns what to do after the commit. */
    write(statements: Statements, characters: number): () => void {
      for (const { key, at, nanos } of spends.values())
        for (const per of pers) statements.addSpend.run(per, windowOf(per, at).start, key, nanos);
      const done: (() => void)[] = [() => spends.clear()];
      let room = characters;
      for (const [id, row] of requests) {
        if (room <= 0) break;
        room -= 200 + row[3].length;
        statements.putRequest.run(...row);
        done.push(() => requests.delete(id));
      }
      if (requests.size > 0) statements.boundRequests.run(limits.requests);
      for (const [id, { space, key, value, expiresAt }] of values) {
        if (room <= 0) break;
        room -= 200 + (value?.length ?? 0);
        if (value === undefined || expiresAt === undefined) statements.dropValue.run(space, key);
        else statements.putValue.run(space, key, expiresAt, value);
        done.push(() => values.delete(id));
      }
      return () => {
        for (const action of done) action();
      };
    },
  };
}

/** Lets go of all that nobody can see any more; of spend two windows stay, as in memory. */
function prune(statements: Statements, now: number): void {
  statements.pruneRequests.run(now - requestTtlMs);
  statements.pruneValues.run(now);
  for (const per of pers) {
    const { start } = windowOf(per, now);
    statements.pruneSpend.run(per, windowOf(per, start - 1).start);
  }
}

/** Collects changes and writes them in one transaction, 500 ms after the first. */
function newWriter(
  database: DatabaseSync,
  statements: Statements,
  { limits, onWrite }: { limits: Bounds; onWrite: SqliteOptions["onWrite"] },
) {
  const pending = newPending(limits);
  let timer: NodeJS.Timeout | undefined;
  let latest = -Infinity;
  let prunedAt = -Infinity;
  // After a failure: a value too large for the disk must not keep spend from it.
  let onlySpend = false;

  const write = (): Error | undefined => {
    clearTimeout(timer);
    timer = undefined;
    if (!database.isOpen) return undefined;
    let failure: Error | undefined;
    try {
      database.exec("BEGIN IMMEDIATE");
      const forget = pending.write(statements, onlySpend ? 0 : charactersAtOnce);
      const isDue = Math.abs(latest - prunedAt) >= pruneEveryMs;
      if (isDue) prune(statements, latest);
      database.exec("COMMIT");
      forget();
      if (isDue) prunedAt = latest;
      if (!pending.isEmpty()) later(onlySpend ? writeEveryMs : restAfterMs);
      onlySpend = false;
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      failure = error instanceof Error ? error : new Error(String(error));
      later(onlySpend ? writeEveryMs : restAfterMs);
      onlySpend = !onlySpend;
    }
    onWrite?.(failure);
    return failure;
  };

  const writeAll = (): Error | undefined => {
    let failure: Error | undefined;
    while (!failure && !pending.isEmpty() && database.isOpen) failure = write();
    // Once more for the spend alone.
    if (failure) write();
    return failure;
  };

  const later = (ms = writeEveryMs) => {
    if (database.isOpen) timer ??= setTimeout(write, ms).unref();
  };

  return {
    requestOf: pending.requestOf,
    spend: (key: string, at: number, nanos: number) => {
      latest = at;
      pending.spend(key, at, nanos);
      later();
    },
    request: (row: RequestRow) => {
      latest = row[2];
      pending.request(row);
      later();
    },
    value: (row: ValueRow, now = latest) => {
      latest = now;
      pending.value(row);
      later();
    },
    close: () => {
      const failure = writeAll();
      clearTimeout(timer);
      if (database.isOpen) database.close();
      return failure;
    },
  };
}

function openStore(database: DatabaseSync, { path, bounds, onWrite }: SqliteOptions): Store {
  const limits = { ...defaultBounds, ...bounds };
  ready(database);
  const statements = prepare(database);
  const writer = newWriter(database, statements, { limits, onWrite });
  const store = memoryStore({
    bounds: { ...limits, requests: Math.min(limits.requests, requestsInMemory) },
    journal: {
      spends: statements.readSpends.iterate() as unknown as Iterable<StoredSpend>,
      values: statements.readValues.iterate() as unknown as Iterable<StoredValue>,
      spend: writer.spend,
      value: writer.value,
      valueDropped: (space, key) => writer.value({ space, key }),
    },
  });
  return {
    ...store,

    putRequest: (record) => {
      // Made into text here and not in the batch, so that the batch is short.
      writer.request([record.key, record.id, record.at, record.body.json()]);
      return store.putRequest(record);
    },

    getRequest: async (key, id, now) => {
      const record = await store.getRequest(key, id, now);
      if (record || !database.isOpen) return record;
      const [, , at = 0, body] = writer.requestOf(key, id) ?? [];
      if (body !== undefined) return at > now - requestTtlMs ? { id, key, at, body: new KeptText(body) } : undefined;
      const row = statements.readRequest.get(key, id, now - requestTtlMs);
      return row && { id, key, at: Number(row["at"]), body: new KeptText(String(row["body"])) };
    },

    close: async () => {
      const failure = writer.close();
      if (failure)
        throw new Error(`The store ${path} was not written: ${failure.message}.`, {
          cause: failure,
        });
    },
  };
}

/** A memory store that outlives its process: what was settled is in the file within a second. */
export function sqliteStore(options: SqliteOptions): Store {
  let database: DatabaseSync | undefined;
  try {
    database = connect(options.path);
    return openStore(database, options);
  } catch (error) {
    database?.close();
    throw new Error(`The store ${options.path} cannot be opened: ${toReason(error)}.`, {
      cause: error,
    });
  }
}

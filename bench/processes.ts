// Starts, pins and ends what a run needs; whatever happens, nothing that was started outlives this process.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bodies } from "./answers.ts";
import { allowedCores } from "./measure.ts";
import { Connection, requestBytes } from "./wire.ts";

/** How to start a system under test. It gets `HOST`, `PORT`, `CHORALE_CONFIG` and `BENCH_UPSTREAM`. */
export interface Recipe {
  name: "floor" | "gateway";
  command: string;
  /** Where a question goes that three upstream calls must answer. */
  fanPath: string;
  environment: Record<string, string>;
  logPath: string;
}

export interface System {
  recipe: Recipe;
  port: number;
  pid: number;
  /** From the start of the process to the first whole answer. */
  startMs: number;
  stop(): Promise<void>;
}

export interface Cores {
  system: number;
  others: number;
}

/** Part of util-linux, absent in some small images. */
const pinner = "taskset";
const startPatienceMs = 20_000;
const stopPatienceMs = 1500;
/** Process groups that still run, by the id of their leader. */
const running = new Set<number>();

process.on("exit", () => {
  for (const pid of running) signal(pid, "SIGKILL");
});
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => process.exit(130));

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    running.delete(pid);
  }
}

/** Puts this process and all that it will start on one core, and leaves another to the system under test. */
export function pin(): Cores | undefined {
  const [system, others] = allowedCores();
  if (system === undefined || others === undefined) return undefined;
  const done = spawnSync(pinner, ["-acp", String(others), String(process.pid)], {
    stdio: "ignore",
  });
  return done.status === 0 ? { system, others } : undefined;
}

function track(child: ChildProcess): number {
  const { pid } = child;
  if (pid === undefined) throw new Error(`could not start ${child.spawnfile}`);
  running.add(pid);
  child.once("exit", () => running.delete(pid));
  return pid;
}

/** A process of the bench itself, spoken to in messages. */
export class Helper {
  readonly #child: ChildProcess;

  constructor(file: URL) {
    const path = fileURLToPath(file);
    this.#child = spawn(process.execPath, [path], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      detached: true,
    });
    track(this.#child);
  }

  /** The next message that the process sends. */
  hear(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error("a process of the bench ended early"));
      this.#child.once("exit", gone);
      this.#child.once("message", (message) => {
        this.#child.off("exit", gone);
        resolve(message);
      });
    });
  }

  ask(message: object): Promise<unknown> {
    const reply = this.hear();
    this.#child.send(message);
    return reply;
  }

  stop(): void {
    this.#child.kill();
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Asks one plain question; resolves with the status, or 0 when nobody listens. */
function tryOnce(port: number): Promise<number> {
  return new Promise((resolve) => {
    let status = 0;
    const leave = (): void => {
      connection.close();
      resolve(status);
    };
    const connection = new Connection(port, {
      open: () => connection.send(requestBytes("/v1/chat/completions", bodies.plain)),
      head: (answered) => {
        status = answered;
      },
      body: () => {},
      end: leave,
      lost: leave,
    });
  });
}

function lastLines(path: string): string {
  return readFileSync(path, "utf8").trim().split("\n").slice(-12).join("\n");
}

/** Starts a system on a core and waits for its first answer. */
export async function start(recipe: Recipe, core: number | undefined): Promise<System> {
  const port = await freePort();
  const log = openSync(recipe.logPath, "w");
  const shell = ["sh", "-c", `exec ${recipe.command}`];
  const [file = "", ...rest] = core === undefined ? shell : [pinner, "-c", String(core), ...shell];
  const startedMs = performance.now();
  const child = spawn(file, rest, {
    stdio: ["ignore", log, log],
    detached: true,
    env: { ...process.env, ...recipe.environment, HOST: "127.0.0.1", PORT: String(port) },
  });
  closeSync(log);
  const pid = track(child);
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    signal(pid, "SIGTERM");
    await Promise.race([gone, delay(stopPatienceMs, undefined, { ref: false })]);
    signal(pid, "SIGKILL");
  };
  let status = 0;
  while (status !== 200) {
    status = await tryOnce(port);
    if (!running.has(pid) || performance.now() - startedMs > startPatienceMs) {
      await stop();
      throw new Error(`the ${recipe.name} did not answer (last status ${status}): ${recipe.command}\n${lastLines(recipe.logPath)}`);
    }
    if (status !== 200) await delay(4);
  }
  return { recipe, port, pid, startMs: performance.now() - startedMs, stop };
}

/** The gateway as an operator runs it: a process of its own with its own folder, environment and signals. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Generous: other tests run at the same time. */
export const SLOW = 30_000;

const main = new URL("../../src/main.ts", import.meta.url).pathname;

/** What `npm start` gives to Node. */
export const flags = [
  "--min-semi-space-size=16",
  "--max-semi-space-size=32",
  "--no-allocation-site-pretenuring",
  "--heap-growing-percent=300",
  "--no-parallel-scavenge",
  "--use-largepages=silent",
];

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string };

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Program {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** The lines of the log so far. */
  readonly log: readonly LogLine[];
  kill(signal: NodeJS.Signals): void;
  /** The first line of the log, from `from` on, that fits. Rejects when the process ends without one. */
  line(fits: (line: LogLine) => boolean, from?: number): Promise<LogLine>;
}

export interface RunOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
}

/** A folder that goes with the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "chorale-process-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a config, JSON being YAML. */
export function writeConfig(folder: string, config: object | string): string {
  const file = join(folder, "chorale.yaml");
  writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config, undefined, 2));
  return file;
}

/** Starts the program in a folder of its own, without anything of this process's environment. */
function start({ args = [], env = {}, folder = newFolder() }: RunOptions = {}): Program {
  const child = spawn(process.execPath, [...flags, main, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  let out = "";
  let err = "";
  let read = 0;
  let ended = false;
  const log: LogLine[] = [];
  const waiting = new Set<() => void>();
  const tell = () => {
    for (const look of waiting) look();
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    for (let end = out.indexOf("\n", read); end >= 0; end = out.indexOf("\n", read)) {
      const text = out.slice(read, end);
      read = end + 1;
      if (text.startsWith('{"level"')) log.push(JSON.parse(text) as LogLine);
    }
    tell();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (err += text));
  const exited = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      ended = true;
      resolve({ code, signal, out, err });
      tell();
    });
  });
  return {
    pid: child.pid ?? 0,
    exited,
    log,
    kill: (signal) => void child.kill(signal),
    line: (fits, from = 0) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = log.slice(from).find(fits);
          if (!found && !ended) return;
          waiting.delete(look);
          if (found) resolve(found);
          else reject(new Error(`the process ended:\n${out}\n${err}`));
        };
        waiting.add(look);
        look();
      }),
  };
}

/** Runs a command to its end. */
export function run(args: readonly string[], options: Omit<RunOptions, "args"> = {}): Promise<Exit> {
  return start({ ...options, args }).exited;
}

export interface Server extends Program {
  /** `http://host:port`. */
  readonly url: string;
  readonly folder: string;
  ask(body: object, init?: { readonly key?: string; readonly signal?: AbortSignal }): Promise<Response>;
}

/** Starts the gateway and waits until it listens. Without a config it finds none. */
export async function serve(config: object | undefined, { env = {}, args = [], folder = newFolder() }: RunOptions = {}): Promise<Server> {
  if (config !== undefined) writeConfig(folder, config);
  const program = start({ args, env: { PORT: "0", HOST: "127.0.0.1", ...env }, folder });
  const { url } = await program.line(({ msg }) => msg === "chorale is listening");
  const origin = new URL(String(url)).origin;
  const health = await fetch(`${origin}/health`);
  if (!health.ok) throw new Error(`/health said ${health.status}`);
  await health.text();
  const ask: Server["ask"] = (body, { key, signal } = {}) =>
    fetch(`${origin}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ messages: [{ role: "user", content: "What is 6 times 7?" }], ...body }),
      ...(signal ? { signal } : {}),
    });
  return { ...program, url: origin, folder, ask };
}

/** A provider without retries. */
export function provider(baseUrl: string, more: object = {}): object {
  return { kind: "openai", baseUrl, retry: { attempts: 1 }, ...more };
}

/** A port that somebody else listens on until the test is over. */
export async function busyPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** The start command of package.json. */
export function startCommand(): string {
  const { scripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  return scripts["start"] ?? "";
}

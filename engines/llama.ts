import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const python = fileURLToPath(new URL("../.engines/venv/bin/python", import.meta.url));
const stamp = fileURLToPath(new URL("../.engines/stamp", import.meta.url));
const script = fileURLToPath(new URL("llama-server.py", import.meta.url));

const startMs = 60_000;
const endMs = 5_000;

/** A running llama.cpp server. */
export interface Llama {
  /** Its root, such as `http://127.0.0.1:43567`; the OpenAI routes are below `/v1`. */
  readonly url: string;
  readonly model: string;
  /** Ends the server and returns once its process is gone. */
  close(): Promise<void>;
}

/** Says whether `npm run setup:engines` has run to its end. */
export function engineAvailable(): boolean {
  return existsSync(stamp) && existsSync(python);
}

export interface LlamaOptions {
  readonly threads?: number;
  /** `mean` serves embeddings, `rank` scores of documents; without it, chat. */
  readonly pooling?: "mean" | "rank";
  /** Tokens of an answer that nobody bounded. */
  readonly predict?: number;
  /** Of a request that says none. */
  readonly temperature?: number;
}

/** Starts a llama.cpp server with SmolLM2; it ends with `close()` or with this process, however this process ends. */
export async function startLlama({ threads = 2, pooling, predict = 512, temperature = 0.8 }: LlamaOptions = {}): Promise<Llama> {
  if (!engineAvailable()) throw new Error("The local engine is not set up: run `npm run setup:engines`.");
  // Its own process group, so that Ctrl-C in a terminal lets the gateway drain before the engine goes.
  const mode = pooling === undefined ? [] : ["--pooling", pooling];
  const bounds = ["--threads", String(threads), "--predict", String(predict), "--temperature", String(temperature)];
  const child = spawn(python, [script, ...bounds, ...mode], { detached: true, stdio: "pipe" });
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const complaints = lastLines(child.stderr);
  try {
    const ready = JSON.parse(await firstLine(child, child.stdout)) as {
      url: string;
      model: string;
    };
    return { ...ready, close: () => end(child, gone) };
  } catch (error) {
    await end(child, gone);
    throw new Error([`The llama server did not start: ${(error as Error).message}`, ...complaints].join("\n"), { cause: error });
  }
}

/** Resolves with the first line of `stdout`; rejects when the child ends or the time is up before it. */
function firstLine(child: ChildProcess, stdout: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer after ${startMs / 1000} s`)), startMs);
    createInterface(stdout).once("line", resolve);
    child.once("error", reject);
    child.once("close", (code, signal) => reject(new Error(`it ended with ${signal ?? `exit code ${code}`}`)));
    stdout.once("data", () => clearTimeout(timer)).once("close", () => clearTimeout(timer));
  });
}

async function end(child: ChildProcess, gone: Promise<void>): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), endMs);
  await gone;
  clearTimeout(timer);
}

/** Returns an array that goes on holding the last few lines of `stream`. Reading also keeps the pipe from filling up. */
function lastLines(stream: Readable): string[] {
  const lines: string[] = [];
  createInterface(stream).on("line", (line) => {
    lines.push(line);
    if (lines.length > 10) lines.shift();
  });
  return lines;
}

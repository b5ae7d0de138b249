import { execFile, spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";

// The walk-through of CONTRIBUTING.md, followed to the letter over a copy of the source.
const root = fileURLToPath(new URL("..", import.meta.url));
const guide = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
/** No step takes longer, also on a busy machine. */
const PATIENCE_MS = 60_000;

/** The fenced block whose opening line is `info`. */
function block(info: string): string {
  const start = guide.indexOf(`\`\`\`${info}\n`);
  if (start < 0) throw new Error(`CONTRIBUTING.md has no block "${info}"`);
  const from = start + info.length + 4;
  return guide.slice(from, guide.indexOf("\n```", from) + 1);
}

const folder = mkdtempSync(join(tmpdir(), "chorale-contributing-"));
const STRATEGY = "src/strategies/api/preset.ts";
const REGISTRY = "src/strategies/registry.ts";
// Nothing of the caller's environment but what a process needs: a key in it would be another provider.
const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], PORT: "0" };

async function node(...args: readonly string[]): Promise<string> {
  const run = promisify(execFile)(process.execPath, args, { cwd: folder, env, timeout: PATIENCE_MS });
  const { stdout } = await run.catch((error: Error & { stdout?: string; stderr?: string }) => {
    throw new Error(`node ${args.join(" ")}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  });
  return stdout;
}

/** The registry with the lines of the diff in it: what is marked `-` has to be there. */
function patched(text: string, diff: string): string {
  const lines = diff.split("\n").filter((line) => line !== "");
  const marked = (mark: string) => lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(1));
  const removed = marked("-").join("\n");
  if (!text.includes(removed)) throw new Error(`${REGISTRY} no longer has the line that CONTRIBUTING.md replaces:\n${removed}`);
  return text.replace(removed, () => marked("+").join("\n"));
}

beforeAll(() => {
  for (const part of ["src", "package.json", "tsconfig.json", "test/support", "test/strategies/contract.test.ts"]) {
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, STRATEGY), block(`ts ${STRATEGY}`));
  writeFileSync(join(folder, REGISTRY), patched(readFileSync(join(folder, REGISTRY), "utf8"), block(`diff ${REGISTRY}`)));
  writeFileSync(join(folder, "chorale.yaml"), block("yaml chorale.yaml") + "store: { kind: memory }\n");
});

afterAll(() => rmSync(folder, { recursive: true }));

test("the strategy of the guide is about forty lines", () => {
  expect(block(`ts ${STRATEGY}`).trimEnd().split("\n").length).toBeLessThan(50);
});

test("it passes the type check", { timeout: PATIENCE_MS }, async () => {
  await node("node_modules/typescript/bin/tsc", "-p", ".");
});

test("the contract suite covers it by its examples alone", { timeout: PATIENCE_MS }, async () => {
  await node("node_modules/vitest/vitest.mjs", "run", "--reporter=json", "--outputFile=result.json", "-t", "preset");
  const result = JSON.parse(readFileSync(join(folder, "result.json"), "utf8")) as Readonly<Record<string, number>>;
  const { numPassedTests, numFailedTests } = result;
  expect(numFailedTests).toBe(0);
  expect(numPassedTests).toBeGreaterThan(10);
});

test("check prints what the guide shows", { timeout: PATIENCE_MS }, async () => {
  expect(await node("src/main.ts", "check")).toBe(block("text npm run chorale -- check"));
});

/** The first address that the gateway tells in its log. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = "";
    const timer = setTimeout(() => reject(new Error(`the gateway does not listen:\n${out}`)), PATIENCE_MS / 2);
    const read = (chunk: Buffer) => {
      out += chunk.toString();
      const url = /"url":"([^"]+)"/.exec(out)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`the gateway ended with ${code}:\n${out}`));
    });
  });
}

test("a gateway with it answers, whole and streamed", { timeout: PATIENCE_MS }, async () => {
  const child = spawn(process.execPath, ["src/main.ts"], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  try {
    const client = new OpenAI({ baseURL: await listening(child), apiKey: "unused", maxRetries: 0, timeout: 10_000 });
    const asked = { model: "brief", messages: [{ role: "user" as const, content: "Tell me at great length why people sing in choirs." }] };
    const whole = await client.chat.completions.create(asked);
    const [choice] = whole.choices;
    expect(choice).toMatchObject({ finish_reason: "length", message: { role: "assistant" } });
    // The prompt counts the system message that the client did not send.
    const bare = await client.chat.completions.create({ ...asked, model: "demo/alto" });
    expect(bare.choices[0]?.finish_reason).toBe("stop");
    expect(whole.usage?.prompt_tokens).toBeGreaterThan(bare.usage?.prompt_tokens ?? Infinity);
    let text = "";
    const chunks: unknown[] = [];
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
      chunks.push(chunk);
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect(text).toBe(choice?.message.content);
    expect(chunks.length).toBeGreaterThan(4);
  } finally {
    child.kill("SIGTERM");
  }
  expect(await ended).toBe(0);
});

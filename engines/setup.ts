// `npm run setup:engines`: the local engine and the Python clients into .engines/, which git ignores.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../.engines", import.meta.url));
const venv = `${folder}/venv`;
const python = `${venv}/bin/python`;
const stamp = `${folder}/stamp`;
const lockFile = `${folder}/lock`;
const lockMs = 600_000;
const requirements = ["requirements.txt", "requirements-clients.txt"].map((name) => fileURLToPath(new URL(name, import.meta.url)));

const remedy = "On Debian or Ubuntu: apt-get install python3 python3-venv. Then run npm run setup:engines again.";

/** What stops the setup and what the reader can do about it: printed as it is, without a stack. */
class SetupError extends Error {}

function main(): void {
  const digest = requirementsDigest();
  if (isInstalled(digest)) return say("up to date in .engines");
  mkdirSync(folder, { recursive: true });
  using _lock = lock();
  if (isInstalled(digest)) return say("up to date in .engines");
  const startedAt = performance.now();
  rmSync(stamp, { force: true });
  say(`using ${findPython()}`);
  say("creating the virtual environment .engines/venv");
  createVenv();
  say("installing llama.cpp, a small model (together about 130 MB) and the Python clients");
  install();
  writeFileSync(stamp, digest);
  say(`ready after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
}

/**
 * Lets one setup work at a time; the others wait, and then find the work done. SQLite because Node has no file locks of its own: the kernel
 * holds this one, so it goes with its process, however that ends.
 */
function lock(): Disposable {
  const file = new DatabaseSync(lockFile);
  try {
    file.exec("BEGIN EXCLUSIVE");
  } catch {
    say("another setup is running, waiting for it");
    file.exec(`PRAGMA busy_timeout = ${lockMs}`);
    begin(file);
  }
  return { [Symbol.dispose]: () => file.close() };
}

function begin(file: DatabaseSync): void {
  try {
    file.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    throw new SetupError(`The other setup did not end in ${lockMs / 60_000} minutes.`, { cause });
  }
}

function requirementsDigest(): string {
  const hash = createHash("sha256");
  for (const file of requirements) hash.update(readFileSync(file));
  return hash.digest("hex");
}

function isInstalled(digest: string): boolean {
  return existsSync(python) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest;
}

function findPython(): string {
  const answer = run("python3", ["-c", "import sys; print(*sys.version_info[:3], sys.executable)"]);
  if (answer.missing) throw new SetupError(`python3 is not installed; the engines need Python 3.10 or newer. ${remedy}`);
  if (!answer.ok) throw new SetupError(`python3 does not run: ${answer.tail}`);
  const [major = 0, minor = 0, patch = 0, ...path] = answer.output.trim().split(" ");
  const version = `Python ${major}.${minor}.${patch} at ${path.join(" ")}`;
  if (Number(major) !== 3 || Number(minor) < 10) throw new SetupError(`python3 is ${version}; the engines need Python 3.10 or newer.`);
  return version;
}

/** Makes the environment anew, since an interrupted run may have left half of one. */
function createVenv(): void {
  const attempt = run("python3", ["-m", "venv", "--clear", venv]);
  if (attempt.ok) return;
  say("python3 -m venv failed, trying virtualenv");
  if (run("virtualenv", ["--python", "python3", "--clear", venv]).ok) return;
  // Debian splits ensurepip, and in slim images venv as well, off into python3-venv.
  if (/ensurepip|No module named '?venv/.test(attempt.output)) {
    throw new SetupError(`python3 has no working venv module, and virtualenv is no way out either. ${remedy}`);
  }
  throw new SetupError(`Could not create ${venv}: ${attempt.tail}`);
}

function install(): void {
  const files = requirements.flatMap((file) => ["--requirement", file]);
  const attempt = run(python, [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--require-hashes",
    "--no-deps",
    ...files,
  ]);
  if (!attempt.ok) throw new SetupError(`pip could not install the packages:\n${attempt.tail}`);
}

function run(command: string, options: string[]): { ok: boolean; missing: boolean; output: string; tail: string } {
  const result = spawnSync(command, options, { encoding: "utf8" });
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`;
  return {
    ok: result.status === 0,
    missing: result.error !== undefined,
    output,
    tail: output.trim().split("\n").slice(-5).join("\n"),
  };
}

function say(line: string): void {
  console.log(`engines: ${line}`);
}

try {
  main();
} catch (error) {
  console.error(`engines: ${(error as Error).message}`);
  process.exitCode = 1;
}

// `npm run start:local`: the gateway over a real small model; no key, and no network once it is set up.
import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { startLlama } from "./llama.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const gateway = ["--min-semi-space-size=16", "--max-semi-space-size=32", "src/main.ts"];
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

async function main(): Promise<number> {
  const setup = spawnSync(process.execPath, ["engines/setup.ts"], { cwd: root, stdio: "inherit" });
  if (setup.status !== 0) return 1;
  const llama = await startLlama();
  console.log(`engines: ${llama.model} on ${llama.url}`);
  try {
    return await runGateway(`${llama.url}/v1`);
  } finally {
    await llama.close();
  }
}

/** Runs the gateway until it ends and returns its exit code: 128 and the signal's number when a signal ended it. */
function runGateway(engineUrl: string): Promise<number> {
  // In a group of its own: Ctrl-C would otherwise reach it twice, from the terminal and from here.
  const child = spawn(process.execPath, gateway, {
    cwd: root,
    detached: true,
    env: { ...process.env, CHORALE_CONFIG: "engines/local.yaml", LOCAL_ENGINE_URL: engineUrl },
    stdio: "inherit",
  });
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGTERM"]));
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`engines: ${(error as Error).message}`);
  process.exitCode = 1;
}

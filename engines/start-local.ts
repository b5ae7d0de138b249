// `npm run start:local`: the gateway over a real small model; no key, and no network once it is set up.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { startLlama } from "./llama.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Sets up and starts the engine, then becomes the gateway. */
async function main(): Promise<void> {
  const setup = spawnSync(process.execPath, ["engines/setup.ts"], { cwd: root, stdio: "inherit" });
  if (setup.status !== 0) throw new Error("the setup did not end well");
  const llama = await startLlama();
  console.log(`engines: ${llama.model} on ${llama.url}`);
  process.chdir(root);
  process.env["CHORALE_CONFIG"] = "engines/local.yaml";
  process.env["LOCAL_ENGINE_URL"] = `${llama.url}/v1`;
  try {
    // In this process, not in a child: nothing has to pass signals on, and no gateway is left when this process is killed.
    // The engine is in a group of its own (Ctrl-C is for the gateway alone) and ends with its stdin.
    await import("../src/main.ts");
  } finally {
    await llama.close();
  }
}

try {
  await main();
} catch (error) {
  console.error(`engines: ${(error as Error).message}`);
  process.exitCode = 1;
}

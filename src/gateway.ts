import { run } from "./cli/run.ts";
import { ConfigError } from "./config/config-error.ts";
import { serve } from "./serve.ts";
import { probeModels } from "./upstream/probe.ts";

/** Runs the gateway until a signal ends it; resolves with the exit code. */
async function serveUntilSignal(options: { readonly config?: string }): Promise<number> {
  const running = await serve({ env: process.env, probe: probeModels, ...options });
  process.on("SIGHUP", () => void running.reload());
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
  // A second signal means: now.
  process.once("SIGTERM", () => process.exit(1));
  process.once("SIGINT", () => process.exit(1));
  await running.close();
  return 0;
}

const io = {
  out: (text: string) => void process.stdout.write(text),
  err: (text: string) => void process.stderr.write(text),
  serve: serveUntilSignal,
  probe: probeModels,
};

try {
  process.exitCode = await run(process.argv.slice(2), process.env, io);
} catch (thrown) {
  const known = thrown instanceof ConfigError;
  process.stderr.write(`${known ? thrown.message : (thrown as Error).stack}\n`);
  process.exitCode = 1;
}
// A pipe takes a long text in pieces: what is still under way would be lost.
if (process.exitCode === 0) process.stdout.write("", () => process.exit());

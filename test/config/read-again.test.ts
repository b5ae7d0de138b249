import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { watchConfig } from "../../src/config/reload.ts";
import { serve } from "../../src/serve.ts";

/** A gateway over a file that the test writes anew. */
async function start() {
  const folder = mkdtempSync(join(tmpdir(), "chorale-again-"));
  const path = join(folder, "chorale.yaml");
  const write = (config: object) =>
    writeFileSync(path, JSON.stringify({ store: { kind: "memory" }, providers: { demo: { kind: "demo" } }, ...config }));
  write({ server: { port: 0, host: "127.0.0.1" } });
  const lines: string[] = [];
  const running = await serve({ env: {}, config: path, probe: async () => undefined, logTo: { write: (line) => void lines.push(line) } });
  onTestFinished(async () => {
    await running.close();
    rmSync(folder, { recursive: true });
  });
  const told = (message: string) => lines.filter((line) => line.includes(message)).length;
  return { path, write, running, told };
}

test("a bad config is told once, when a signal came before the file was seen to have changed", { timeout: 15_000 }, async () => {
  const { path, write, running, told } = await start();
  let changes = 0;
  // Hears of the file when the gateway's own watch does.
  const other = watchConfig(path, () => (changes += 1));
  onTestFinished(() => other.close());
  let signals = 0;
  const seen = async () => {
    write({ models: { [`m${signals}`]: { kind: "vot" } } });
    signals += 1;
    await running.reload();
    return changes;
  };
  await expect.poll(seen, { timeout: 10_000, interval: 100 }).toBeGreaterThan(0);
  await running.reload();
  expect(told("the config was not taken")).toBe(signals + 1);
});

test("a port that is changed is told to need a restart", async () => {
  const { write, running, told } = await start();
  write({ server: { port: 1, host: "127.0.0.1" } });
  await running.reload();
  expect(told("restart to change them")).toBe(1);
});

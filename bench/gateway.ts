// How the two systems under test are started, and the config that switches everything on in the gateway.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Recipe } from "./processes.ts";
import { benchKey } from "./wire.ts";

export interface Setup {
  folder: string;
  /** `http://host:port` of the mock. */
  upstream: string;
  store: string;
  /** Rate limits and a budget on the key, too wide to bite. */
  limits: boolean;
  /** Another system in the gateway's place: a shell command, or `floor` for the floor itself. */
  command: string | undefined;
}

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { scripts: { start: string } };

/** What `npm start` gives to Node, for both. */
export const nodeFlags = manifest.scripts.start.split(" ").slice(1, -1).join(" ");

function config(setup: Setup): string {
  const limits =
    ", limits: {requestsPerMinute: 1000000000, tokensPerMinute: 1000000000000, concurrency: 100000}, budget: {usd: 1000000000, per: day}";
  const store = setup.store === "sqlite" ? `{kind: sqlite, path: "${join(setup.folder, "bench.db")}"}` : `{kind: ${setup.store}}`;
  const models = ["plain", "big", "paced", "burst", "one"];
  const prices = models.map((model) => `${model}: {in: 1, out: 2}`).join(", ");
  return [
    `keys: [{name: bench, key: "${benchKey}"${setup.limits ? limits : ""}}]`,
    `store: ${store}`,
    "providers:",
    `  mock: {kind: openai, baseUrl: "${setup.upstream}/v1", apiKey: "sk-upstream", models: [${models.join(", ")}], prices: {${prices}}, capabilities: {one: {choices: one}}}`,
    "models:",
    "  vote: {kind: vote, members: [mock/plain, mock/plain, mock/plain], answer: exact, stop: none}",
    "log: {level: info}",
    "",
  ].join("\n");
}

/** Runs a file of this repository on this Node. */
function nodeCommand(file: URL): string {
  return `"${process.execPath}" ${nodeFlags} "${fileURLToPath(file)}"`;
}

export function recipes(setup: Setup): { floor: Recipe; gateway: Recipe } {
  const configPath = join(setup.folder, "chorale.yaml");
  writeFileSync(configPath, config(setup));
  const environment = { BENCH_UPSTREAM: setup.upstream, CHORALE_CONFIG: configPath };
  const floorCommand = nodeCommand(new URL("./floor.ts", import.meta.url));
  const own = setup.command === "floor";
  const command = own ? floorCommand : (setup.command ?? nodeCommand(new URL("../src/main.ts", import.meta.url)));
  return {
    floor: {
      name: "floor",
      command: floorCommand,
      fanPath: "/fan3",
      environment,
      logPath: join(setup.folder, "floor.log"),
    },
    gateway: {
      name: "gateway",
      command,
      fanPath: own ? "/fan3" : "/v1/chat/completions",
      environment,
      logPath: join(setup.folder, "gateway.log"),
    },
  };
}

// `npm run bench -- --ensembles`: what an ensemble itself costs. For each text-level kind CPU per leg beside the plain pass-through, over
// upstreams that answer at once.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { strategies } from "../src/strategies/registry.ts";
import { bodies } from "./answers.ts";
import { nodeFlags } from "./gateway.ts";
import { cpuMs } from "./measure.ts";
import { start } from "./processes.ts";
import type { Cores, Helper, System } from "./processes.ts";
import { median } from "./report.ts";
import { benchKey, Connection, requestBytes } from "./wire.ts";

export interface Ensembles {
  neighbour: Helper;
  /** `http://host:port` of the mock. */
  upstream: string;
  folder: string;
  cores: Cores | undefined;
  /** Short windows: figures good to about 30 %. */
  quick: boolean;
  /** Kinds; all of them by default. */
  only: readonly string[] | undefined;
  note: (text: string) => void;
}

interface Window {
  answers: number;
  legs: number;
  cpuMs: number;
  fault: string | undefined;
}

interface Row {
  kind: string;
  legs: number;
  /** CPU of one request, us. */
  requestUs: number;
  /** CPU of one leg, us, and over that of a plain request beside it. */
  legUs: number;
  ratio: number;
}

/** Requests under way at once. */
const connections = 16;
const drainMs = 5000;

/** Each kind under its first example: what its docs show first. */
function ensembleModels(): Record<string, unknown> {
  const kinds = [...strategies.values()].filter(({ level }) => level === "text");
  return Object.fromEntries(kinds.map(({ kind, examples }) => [kind, examples[0]]));
}

function config(upstream: string): string {
  const names = ["plain", "a", "b", "c"];
  return JSON.stringify({
    keys: [{ name: "bench", key: benchKey }],
    store: { kind: "memory" },
    providers: {
      mock: {
        kind: "openai",
        baseUrl: `${upstream}/v1`,
        apiKey: "sk-upstream",
        models: names,
        prices: Object.fromEntries(names.map((name) => [name, { in: 1, out: 2 }])),
      },
    },
    models: { a: "mock/a", b: "mock/b", c: "mock/c", ...ensembleModels() },
    log: { level: "info" },
  });
}

/** Asks one model over and over on every connection, and reads whole answers. */
function load(port: number, model: string, ms: number): Promise<{ answers: number; fault: string | undefined }> {
  const request = requestBytes("/v1/chat/completions", bodies.plain.replace("mock/plain", model));
  const untilMs = performance.now() + ms;
  let answers = 0;
  let fault: string | undefined;
  const client = (): Promise<void> =>
    new Promise((resolve) => {
      let body = "";
      const leave = (why?: string): void => {
        clearTimeout(patience);
        fault ??= why;
        connection.close();
        resolve();
      };
      const ask = (): void => {
        body = "";
        connection.send(request);
      };
      const connection = new Connection(port, {
        open: ask,
        head: (status) => {
          if (status !== 200) fault ??= `status ${status}`;
        },
        body: (text) => (body += text),
        end: () => {
          if (!body.includes('"finish_reason":"stop"')) fault ??= body.slice(0, 200);
          answers += 1;
          if (fault === undefined && performance.now() < untilMs) ask();
          else leave();
        },
        lost: leave,
      });
      const patience = setTimeout(() => leave("no answer in time"), ms + drainMs);
    });
  return Promise.all(Array.from({ length: connections }, client)).then(() => ({ answers, fault }));
}

class Bench {
  readonly #system: System;
  readonly #neighbour: Helper;

  constructor(system: System, neighbour: Helper) {
    this.#system = system;
    this.#neighbour = neighbour;
  }

  async window(model: string, ms: number): Promise<Window> {
    const { pid, port } = this.#system;
    const before = { legs: (await this.#neighbour.ask({})) as number, cpu: cpuMs(pid) };
    const { answers, fault } = await load(port, model, ms);
    return { answers, fault, legs: ((await this.#neighbour.ask({})) as number) - before.legs, cpuMs: cpuMs(pid) - before.cpu };
  }
}

function perLeg({ cpuMs: spent, legs }: Window): number {
  return (spent * 1000) / legs;
}

async function measure(bench: Bench, kind: string, windowMs: number): Promise<Row | string> {
  const warm = await bench.window(kind, windowMs * 2);
  if (warm.fault !== undefined) return warm.fault;
  const before = await bench.window("mock/plain", windowMs / 2);
  const own = await bench.window(kind, windowMs);
  const after = await bench.window("mock/plain", windowMs / 2);
  const fault = own.fault ?? before.fault ?? after.fault;
  if (fault !== undefined) return fault;
  const legUs = perLeg(own);
  const plainUs = ((before.cpuMs + after.cpuMs) * 1000) / (before.legs + after.legs);
  return { kind, legs: own.legs / own.answers, requestUs: (own.cpuMs * 1000) / own.answers, legUs, ratio: legUs / plainUs };
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ kind, legs, requestUs, legUs, ratio }) =>
      `| ${kind} | ${legs.toFixed(1)} | ${Math.round(requestUs)} us | ${Math.round(legUs)} us | ${ratio.toFixed(2)} |${ratio > 2 ? " above twice" : ""}`,
  );
  return [
    "| kind | legs | CPU a request | CPU a leg | beside plain |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...lines,
    "",
    `Median ${median(rows.map(({ ratio }) => ratio)).toFixed(2)}; ${rows.filter(({ ratio }) => ratio <= 2).length} of ${rows.length} at or below twice.`,
  ].join("\n");
}

/** Measures every text-level kind in turn, each between two windows of plain requests. Returns the faults. */
export async function ensembles({ neighbour, upstream, folder, cores, quick, only, note }: Ensembles): Promise<readonly string[]> {
  const configPath = join(folder, "ensembles.yaml");
  writeFileSync(configPath, config(upstream));
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  const system = await start(
    {
      name: "gateway",
      command: `"${process.execPath}" ${nodeFlags} "${main}"`,
      fanPath: "/v1/chat/completions",
      environment: { CHORALE_CONFIG: configPath },
      logPath: join(folder, "ensembles.log"),
    },
    cores?.system,
  );
  const bench = new Bench(system, neighbour);
  const rows: Row[] = [];
  const faults: string[] = [];
  const windowMs = quick ? 300 : 1500;
  note("warm-up");
  await bench.window("mock/plain", quick ? 1500 : 10_000);
  const kinds = Object.keys(ensembleModels());
  const unknown = only?.find((kind) => !kinds.includes(kind));
  if (unknown !== undefined) throw new Error(`--only: no text-level kind "${unknown}"; there are ${kinds.join(", ")}`);
  for (const kind of only ?? kinds) {
    note(kind);
    const row = await measure(bench, kind, windowMs);
    if (typeof row === "string") faults.push(`${kind}: ${row}`);
    else rows.push(row);
  }
  await system.stop();
  console.log(table(rows));
  return faults;
}

// `npm run bench`: the gateway with everything on beside the bare floor, in turns on one core. `--help` lists the options.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensembles } from "./ensembles.ts";
import { nodeFlags, recipes } from "./gateway.ts";
import { Helper, pin } from "./processes.ts";
import type { Cores } from "./processes.ts";
import { exceeded, median, rowNames, table } from "./report.ts";
import type { RowName } from "./report.ts";
import { Schedule, share } from "./schedule.ts";
import type { Plan, Tally } from "./schedule.ts";

const help = `npm run bench -- [options]

  --quick              two short passes, under 45 s; figures good to about 15 %
  --passes <n>         passes that count (default 6, in three fresh starts of each system)
  --only <row,...>     only these rows: ${rowNames.join(", ")}
  --gateway <command>  another system in the gateway's place: a shell command that serves
                       POST /v1/chat/completions on HOST and PORT and asks BENCH_UPSTREAM (http://host:port);
                       \`--gateway floor\` compares the floor with itself: ratios must come out near 1
  --ensembles          instead: what each text-level kind itself costs, CPU per leg beside the plain pass-through
                       (about two minutes; with --quick half a minute, which is too short for figures); --only names kinds
  --store <kind>       memory (default) or sqlite
  --limits             rate limits and a budget on the key, too wide to bite
  --no-gate            exit code 0 even when a gate is exceeded (wrong answers stay an error)
`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    passes: { type: "string" },
    only: { type: "string" },
    gateway: { type: "string" },
    ensembles: { type: "boolean", default: false },
    store: { type: "string", default: "memory" },
    limits: { type: "boolean", default: false },
    "no-gate": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

function plan(): Plan {
  const passes = Number(options.passes ?? (options.quick ? 2 : 6));
  if (!Number.isInteger(passes) || passes < 1) throw new Error("--passes is a whole number, 1 or more");
  // Of ensembles it names kinds.
  const only = options.ensembles ? undefined : (options.only?.split(",") as RowName[] | undefined);
  const unknown = only?.find((name) => !rowNames.includes(name));
  if (unknown !== undefined) throw new Error(`--only: no row "${unknown}"; rows are ${rowNames.join(", ")}`);
  if (options.quick)
    return {
      passes,
      only,
      generations: 1,
      starts: 2,
      windowMs: 300,
      latencyMs: 1000,
      warmUpMs: 1500,
      limitMs: 42_000,
    };
  const generations = Math.min(2, passes);
  const limitMs = 225_000 * Math.max(1, passes / 6);
  return {
    passes,
    only,
    generations,
    starts: 5,
    windowMs: 750,
    latencyMs: 2000,
    warmUpMs: 14_000,
    limitMs,
  };
}

function undiciVersion(): string {
  const path = fileURLToPath(import.meta.resolve("undici/package.json"));
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

function surroundings(tally: Tally, cores: Cores | undefined): string {
  const machine = `${cpus()[0]?.model.trim() ?? "unknown CPU"}, ${cpus().length} cores; Node ${process.version}, undici ${undiciVersion()}`;
  const pinned =
    cores === undefined
      ? "nothing pinned (no taskset, or one core): expect more noise"
      : `system under test on core ${cores.system}, mock and load in one process on core ${cores.others} that never sleeps`;
  const foreign = tally.foreign.length === 0 ? "" : ` Others took of the measured core: ${share(tally.foreign)}.`;
  const crowded = tally.foreign.length > 0 && median(tally.foreign) > 0.1;
  const busy = tally.busy.length === 0 ? "" : ` The system used of its core: ${share(tally.busy)}.`;
  return [
    `${machine}; ${new Date().toISOString().slice(0, 10)}. Both systems run with \`${nodeFlags}\`, ${pinned}.`,
    `Passes: ${tally.passes}, in turns; figures are medians, ratios are taken inside a pass; PSS and starts of fresh processes.${busy}${foreign}${crowded ? " **The machine was busy: run again.**" : ""}`,
    `${tally.answers.toLocaleString("en")} answers and ${tally.chunks.toLocaleString("en")} chunks checked: ${tally.lost} chunks lost, ${tally.doubled} doubled, ${tally.moved} out of order.`,
  ].join("\n");
}

async function bench(): Promise<number> {
  const planned = plan();
  const folder = mkdtempSync(join(tmpdir(), "chorale-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  // Every wait below is bounded by itself; this is for the one that is not.
  setTimeout(() => {
    console.error("bench: out of time");
    process.exit(2);
  }, planned.limitMs + 30_000).unref();

  const cores = pin();
  const neighbour = new Helper(new URL("./neighbour.ts", import.meta.url));
  const upstreamPort = (await neighbour.hear()) as number;
  const upstream = `http://127.0.0.1:${upstreamPort}`;
  const note = (text: string): void => console.error(`bench: ${text}`);
  if (options.ensembles) {
    const faults = await ensembles({ neighbour, upstream, folder, cores, quick: options.quick, only: options.only?.split(","), note });
    for (const text of faults) console.error(`bench: ${text}`);
    return faults.length > 0 ? 1 : 0;
  }
  const { store, limits } = options;
  const setup = {
    folder,
    upstream,
    store,
    limits,
    command: options.gateway,
  };
  const schedule = new Schedule(planned, {
    neighbour,
    upstreamPort,
    cores,
    recipes: recipes(setup),
    note,
  });
  await schedule.run();

  const { tally } = schedule;
  console.log(`${table(tally)}\n\n${surroundings(tally, cores)}`);
  const faults = [...tally.faults].map(([row, fault]) => `${row}: ${fault}`);
  const over = exceeded(tally).map((title) => `over the gate: ${title}`);
  for (const text of [...faults, ...over]) console.error(`bench: ${text}`);
  return faults.length > 0 || (over.length > 0 && !options["no-gate"]) ? 1 : 0;
}

if (options.help) {
  console.log(help);
} else {
  try {
    process.exit(await bench());
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(2);
  }
}

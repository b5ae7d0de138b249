// The order of a run: fresh starts, warm-up, then passes in which both systems take turns at each scenario.
import { setTimeout as delay } from "node:timers/promises";
import type { Question } from "./answers.ts";
import type { Order, Outcome, Pace } from "./load.ts";
import { memoryMb } from "./measure.ts";
import { start } from "./processes.ts";
import type { Cores, Helper, Recipe, System } from "./processes.ts";
import { median } from "./report.ts";
import type { Pair, Results, RowName } from "./report.ts";

/** Answers after which the figures of a fresh process stand. */
const WARM_ANSWERS = 30_000;

export interface Plan {
  passes: number;
  /** Fresh processes in the course of the passes: one process's luck with JIT and heap lasts as long as it does. */
  generations: number;
  /** Fresh starts that are only timed and weighed. */
  starts: number;
  /** One of the four windows that a scenario has in a pass. */
  windowMs: number;
  latencyMs: number;
  /** At most so long for plain requests, a quarter of it for the other scenarios. */
  warmUpMs: number;
  /** Passes that would end later are left out. */
  limitMs: number;
  only: RowName[] | undefined;
}

export interface Stage {
  neighbour: Helper;
  upstreamPort: number;
  cores: Cores | undefined;
  recipes: { floor: Recipe; gateway: Recipe };
  note(text: string): void;
}

/** What the run saw beside the figures of the table. */
export interface Tally extends Results {
  passes: number;
  answers: number;
  chunks: number;
  lost: number;
  doubled: number;
  moved: number;
  /** Share of the measured core that others took, window by window. */
  foreign: number[];
  /** Share of its core that the system used in windows without pause. */
  busy: number[];
}

interface Scenario {
  row: RowName;
  question: Question;
  per: "answers" | "chunks";
  upstreamCalls: number;
}

type Pairs = Record<keyof Pair, System>;

const scenarios: Scenario[] = [
  { row: "plain", question: "plain", per: "answers", upstreamCalls: 1 },
  { row: "big", question: "big", per: "answers", upstreamCalls: 1 },
  { row: "paced", question: "paced", per: "chunks", upstreamCalls: 1 },
  { row: "burst", question: "burst", per: "chunks", upstreamCalls: 1 },
  { row: "fan", question: "fan", per: "answers", upstreamCalls: 3 },
  { row: "vote", question: "vote", per: "answers", upstreamCalls: 3 },
];

function paceOf({ row }: Scenario, ms: number): Pace {
  // A paced stream takes a second, whatever the window: each connection reads one.
  return row === "paced" ? { kind: "rounds", rounds: 1 } : { kind: "closed", ms };
}

const connections = 64;
const latencyRate = 1000;
const settleMs = 500;

export class Schedule {
  readonly #plan: Plan;
  readonly #stage: Stage;
  readonly #startedMs = performance.now();
  #longestPassMs = 0;
  readonly tally: Tally = {
    pairs: new Map(),
    faults: new Map(),
    passes: 0,
    answers: 0,
    chunks: 0,
    lost: 0,
    doubled: 0,
    moved: 0,
    foreign: [],
    busy: [],
  };

  constructor(plan: Plan, stage: Stage) {
    this.#plan = plan;
    this.#stage = stage;
  }

  async run(): Promise<void> {
    await this.#freshStarts();
    const { passes, generations } = this.#plan;
    for (let generation = 0; generation < generations; generation += 1) {
      const last = Math.round(((generation + 1) * passes) / generations);
      if (!this.#hasTime(this.#longestPassMs * 2)) break;
      await this.#generation(last);
    }
  }

  #wants(row: RowName): boolean {
    return (this.#plan.only === undefined || this.#plan.only.includes(row)) && !this.tally.faults.has(row);
  }

  #hasTime(neededMs: number): boolean {
    return performance.now() - this.#startedMs + neededMs < this.#plan.limitMs;
  }

  #keep(row: RowName, pair: Pair): void {
    const pairs = this.tally.pairs.get(row) ?? [];
    this.tally.pairs.set(row, [...pairs, pair]);
  }

  async #freshStarts(): Promise<void> {
    if (!this.#wants("start") && !this.#wants("memory")) return;
    this.#stage.note(`${this.#plan.starts} fresh starts of each`);
    const { floor, gateway } = this.#stage.recipes;
    // The first start of each fills the page cache and is not counted.
    for (let turn = 0; turn <= this.#plan.starts; turn += 1) {
      const seen = {
        floor: await this.#freshStart(floor),
        gateway: await this.#freshStart(gateway),
      };
      if (turn === 0) continue;
      if (this.#wants("start")) this.#keep("start", { floor: seen.floor.startMs, gateway: seen.gateway.startMs });
      if (this.#wants("memory")) this.#keep("memory", { floor: seen.floor.memoryMb, gateway: seen.gateway.memoryMb });
    }
  }

  async #freshStart(recipe: Recipe): Promise<{ startMs: number; memoryMb: number }> {
    const system = await start(recipe, this.#stage.cores?.system);
    await delay(settleMs);
    const seen = { startMs: system.startMs, memoryMb: memoryMb(system.pid) };
    await system.stop();
    return seen;
  }

  /** Starts both afresh, warms them up and runs passes until `last` are done. */
  async #generation(last: number): Promise<void> {
    const { recipes, cores } = this.#stage;
    const systems = {
      floor: await start(recipes.floor, cores?.system),
      gateway: await start(recipes.gateway, cores?.system),
    };
    this.#stage.note("fresh processes, warm-up");
    for (const scenario of scenarios) {
      if (!this.#wants(scenario.row)) continue;
      for (const system of [systems.floor, systems.gateway]) await this.#warmUp(system, scenario);
    }
    while (this.tally.passes < last && this.#hasTime(this.#longestPassMs)) {
      const startedMs = performance.now();
      await this.#pass(systems);
      this.#longestPassMs = Math.max(this.#longestPassMs, performance.now() - startedMs);
    }
    await Promise.all([systems.floor.stop(), systems.gateway.stop()]);
  }

  /** Until a system has answered enough for its code to be compiled: by time alone the slower one would be measured colder. */
  async #warmUp(system: System, scenario: Scenario): Promise<void> {
    const share = scenario.row === "plain" ? 1 : 0.25;
    const until = performance.now() + this.#plan.warmUpMs * share;
    let answers = 0;
    do {
      const { answers: more } = await this.#window(system, scenario, 1000);
      answers += more;
    } while (answers < WARM_ANSWERS * share && performance.now() < until);
  }

  async #pass(systems: Pairs): Promise<void> {
    this.tally.passes += 1;
    this.#stage.note(`pass ${this.tally.passes} of ${this.#plan.passes}`);
    const first = this.tally.passes % 2 === 0 ? "floor" : "gateway";
    const second = first === "floor" ? "gateway" : "floor";
    for (const scenario of scenarios) {
      const spent = { floor: { cpuMs: 0, count: 0 }, gateway: { cpuMs: 0, count: 0 } };
      // There and back again: what drifts in the machine hits both alike.
      for (const name of [first, second, second, first] as const) {
        if (!this.#wants(scenario.row)) continue;
        const outcome = await this.#window(systems[name], scenario, this.#plan.windowMs);
        spent[name].cpuMs += outcome.cpuMs;
        spent[name].count += outcome[scenario.per];
        this.#observe(scenario, outcome);
      }
      if (!this.#wants(scenario.row)) continue;
      const { floor, gateway } = spent;
      this.#keep(scenario.row, {
        floor: (floor.cpuMs * 1000) / floor.count,
        gateway: (gateway.cpuMs * 1000) / gateway.count,
      });
    }
    await this.#latency(systems, [first, second]);
  }

  /** Runs one scenario against one system and holds what went wrong against the row. */
  async #window(system: System, scenario: Scenario, ms: number): Promise<Outcome> {
    const pace = paceOf(scenario, ms);
    const { fanPath } = system.recipe;
    const path = scenario.upstreamCalls > 1 ? fanPath : "/v1/chat/completions";
    const cores = this.#stage.cores;
    const order = {
      port: system.port,
      pid: system.pid,
      path,
      question: scenario.question,
      connections,
      pace,
    };
    const before = await this.#served();
    const outcome = await this.#send(cores === undefined ? order : { ...order, core: cores.system });
    const calls = (await this.#served()) - before;
    this.#count(outcome);
    const expected = outcome.primed + outcome.answers * scenario.upstreamCalls;
    const extra = calls === expected ? undefined : `${calls} upstream calls where ${expected} were due`;
    const fault = outcome.firstFailure ?? extra ?? (outcome.doubled + outcome.moved > 0 ? "chunks doubled or out of order" : undefined);
    if (fault !== undefined) this.tally.faults.set(scenario.row, `${system.recipe.name}: ${fault}`);
    return outcome;
  }

  async #latency(systems: Pairs, turns: (keyof Pair)[]): Promise<void> {
    if (!this.#wants("p50") && !this.#wants("p99")) return;
    const pace: Pace = { kind: "rate", perSecond: latencyRate, ms: this.#plan.latencyMs };
    const ask = (port: number): Promise<Outcome> =>
      this.#send({ port, path: "/v1/chat/completions", question: "plain", connections, pace });
    const direct = await ask(this.#stage.upstreamPort);
    const added: Record<"p50" | "p99", Partial<Pair>> = { p50: {}, p99: {} };
    for (const name of turns) {
      const outcome = await ask(systems[name].port);
      this.#count(outcome);
      if (outcome.firstFailure !== undefined) this.tally.faults.set("p50", `${name}: ${outcome.firstFailure}`);
      added.p50[name] = outcome.p50Us - direct.p50Us;
      added.p99[name] = outcome.p99Us - direct.p99Us;
    }
    for (const row of ["p50", "p99"] as const) {
      // In the noise of a busy machine the floor can seem quicker than no gateway at all: no ratio then.
      if (this.#wants(row) && (added[row].floor ?? 0) > 0) this.#keep(row, added[row] as Pair);
    }
  }

  #observe(scenario: Scenario, outcome: Outcome): void {
    if (this.#stage.cores !== undefined) this.tally.foreign.push(Math.max(0, outcome.foreignMs / outcome.wallMs));
    if (scenario.row !== "paced") this.tally.busy.push(outcome.cpuMs / outcome.wallMs);
  }

  async #send(order: Order): Promise<Outcome> {
    return (await this.#stage.neighbour.ask(order)) as Outcome;
  }

  async #served(): Promise<number> {
    return (await this.#stage.neighbour.ask({})) as number;
  }

  #count(outcome: Outcome): void {
    for (const name of ["answers", "chunks", "lost", "doubled", "moved"] as const) this.tally[name] += outcome[name];
  }
}

export function share(values: number[]): string {
  const percent = (value: number): string => `${Math.round(value * 100)} %`;
  return `median ${percent(median(values))}, at most ${percent(Math.max(...values))}`;
}

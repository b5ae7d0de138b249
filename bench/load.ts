// The clients: they take one order at a time, run it against a port and say what they saw.
import { createHistogram } from "node:perf_hooks";
import { bodies } from "./answers.ts";
import type { Question } from "./answers.ts";
import { coreBusyMs, cpuMs } from "./measure.ts";
import { StreamCheck, wholeFault } from "./verify.ts";
import type { Disorder } from "./verify.ts";
import { Connection, requestBytes } from "./wire.ts";
import type { Reader } from "./wire.ts";

export type Pace =
  /** Each connection asks again as soon as it has its answer. */
  | { kind: "closed"; ms: number }
  /** Each connection asks so many times: streams should end together. */
  | { kind: "rounds"; rounds: number }
  /** Questions leave on time, whether or not answers have come. */
  | { kind: "rate"; perSecond: number; ms: number };

export interface Order {
  port: number;
  path: string;
  question: Question;
  connections: number;
  pace: Pace;
  /** The process whose CPU time counts, and its core when it has one to itself. */
  pid?: number;
  core?: number;
}

export interface Outcome extends Disorder {
  /** Answers and text chunks inside the measured time. */
  answers: number;
  chunks: number;
  /** Questions sent beforehand to open the connections, each a plain one. */
  primed: number;
  wallMs: number;
  cpuMs: number;
  /** CPU time that others took on the measured core. */
  foreignMs: number;
  p50Us: number;
  p99Us: number;
  failures: number;
  firstFailure?: string;
}

const patienceMs = 10_000;
const failuresToStop = 20;
/** One answer in so many is parsed and compared with what was sent. */
const fullCheckEvery = 64;

/** One connection's part in a run. */
class Client implements Reader {
  readonly #run: Run;
  readonly #connection: Connection;
  #startedMs = 0;
  #status = 0;
  #body = "";
  #stream: StreamCheck | undefined;
  #busy = false;
  rounds = 0;

  constructor(run: Run) {
    this.#run = run;
    this.#connection = new Connection(run.order.port, this);
  }

  open(): void {
    this.#busy = true;
    this.#connection.send(this.#run.priming);
  }

  ask(startedMs: number): void {
    const { streamed, asked } = this.#run;
    this.#startedMs = startedMs;
    this.#busy = true;
    this.#body = "";
    this.#stream = streamed ? new StreamCheck(asked % fullCheckEvery === 0) : undefined;
    this.rounds += 1;
    this.#run.asked += 1;
    this.#connection.send(this.#run.request);
  }

  close(): void {
    this.#connection.close();
  }

  head(status: number): void {
    this.#status = status;
  }

  body(text: string): void {
    if (this.#stream === undefined || this.#status !== 200) this.#body = this.#body === "" ? text : this.#body + text;
    else this.#stream.read(text, this.#run.outcome);
  }

  end(): void {
    this.#busy = false;
    if (!this.#run.measuring) {
      if (this.#status === 200) this.#run.ready(this);
      else this.#run.refuse(this, this.#fault() ?? "");
      return;
    }
    this.#run.answered(this, {
      tookMs: performance.now() - this.#startedMs,
      chunks: this.#stream?.chunks ?? 0,
      fault: this.#fault(),
    });
  }

  lost(reason: string): void {
    this.#run.refuse(this, this.#busy ? reason : `${reason} while idle`);
  }

  #fault(): string | undefined {
    if (this.#status !== 200) return `status ${this.#status}: ${this.#body.slice(0, 300)}`;
    if (this.#stream !== undefined) return this.#stream.fault(this.#run.outcome);
    return wholeFault(this.#run.order.question, this.#body, this.#run.outcome.answers % fullCheckEvery === 0);
  }
}

class Run {
  readonly order: Order;
  readonly priming: Buffer;
  readonly request: Buffer;
  readonly streamed: boolean;
  measuring = false;
  asked = 0;
  readonly outcome: Outcome;
  readonly #finish: (outcome: Outcome) => void;
  readonly #latencyUs = createHistogram();
  readonly #clients: Client[];
  /** Clients with nothing to do, and questions (by the time they were due) with nobody to ask them. */
  #idle: Client[] = [];
  readonly #due: number[] = [];
  #gone = 0;
  #ended = false;
  #deadlineMs = Infinity;
  #watchdog: NodeJS.Timeout | undefined;
  #ticker: NodeJS.Timeout | undefined;

  constructor(order: Order, finish: (outcome: Outcome) => void) {
    this.order = order;
    this.#finish = finish;
    this.priming = requestBytes("/v1/chat/completions", bodies.plain);
    this.request = requestBytes(order.path, bodies[order.question]);
    this.streamed = order.question === "paced" || order.question === "burst";
    const counts = {
      answers: 0,
      chunks: 0,
      primed: 0,
      wallMs: 0,
      cpuMs: 0,
      foreignMs: 0,
      p50Us: 0,
      p99Us: 0,
    };
    this.outcome = { ...counts, failures: 0, lost: 0, doubled: 0, moved: 0 };
    this.#watch(patienceMs);
    this.#clients = Array.from({ length: order.connections }, () => new Client(this));
  }

  /** A connection is open and has had its first answer. */
  ready(client: Client): void {
    this.outcome.primed += 1;
    this.#idle.push(client);
    if (this.#idle.length === this.#clients.length) this.#begin();
  }

  answered(client: Client, answer: { tookMs: number; chunks: number; fault: string | undefined }): void {
    this.outcome.answers += 1;
    this.outcome.chunks += answer.chunks;
    this.#latencyUs.record(Math.max(1, Math.round(answer.tookMs * 1000)));
    if (answer.fault !== undefined) this.#fail(answer.fault);
    const { pace } = this.order;
    const nowMs = performance.now();
    const due = this.#due.shift();
    if (due !== undefined) client.ask(due);
    else if (pace.kind === "closed" ? nowMs < this.#deadlineMs : pace.kind === "rounds" && client.rounds < pace.rounds) client.ask(nowMs);
    else this.#rest(client);
  }

  refuse(client: Client, reason: string): void {
    this.#idle = this.#idle.filter((other) => other !== client);
    this.#gone += 1;
    client.close();
    this.#fail(reason);
    if (!this.measuring || this.#gone === this.#clients.length) this.#end();
    else this.#endWhenQuiet();
  }

  #begin(): void {
    const { pace, pid, core } = this.order;
    const { outcome } = this;
    this.measuring = true;
    const idle = this.#idle;
    const startedMs = performance.now();
    outcome.wallMs = -startedMs;
    outcome.cpuMs = pid === undefined ? 0 : -cpuMs(pid);
    outcome.foreignMs = core === undefined ? 0 : -coreBusyMs(core);
    this.#deadlineMs = pace.kind === "rounds" ? 0 : startedMs + pace.ms;
    this.#watch(patienceMs + (pace.kind === "rounds" ? 0 : pace.ms));
    if (pace.kind === "rate") {
      this.#ticker = setInterval(() => this.#tick(startedMs, pace.perSecond), 1);
      return;
    }
    this.#idle = [];
    for (const client of idle) client.ask(startedMs);
  }

  /** Sends what is due. The clock starts when it should leave, not when a connection is free: else a stall would hide itself. */
  #tick(startedMs: number, perSecond: number): void {
    const nowMs = performance.now();
    const due = Math.floor(((Math.min(nowMs, this.#deadlineMs) - startedMs) * perSecond) / 1000);
    while (this.asked + this.#due.length < due) {
      const client = this.#idle.pop();
      if (client === undefined) this.#due.push(nowMs);
      else client.ask(nowMs);
    }
    if (nowMs < this.#deadlineMs) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#endWhenQuiet();
  }

  #rest(client: Client): void {
    this.#idle.push(client);
    this.#endWhenQuiet();
  }

  #endWhenQuiet(): void {
    if (this.#ticker === undefined && this.#idle.length + this.#gone === this.#clients.length) this.#end();
  }

  #fail(reason: string): void {
    this.outcome.failures += 1;
    this.outcome.firstFailure ??= reason;
    if (this.outcome.failures >= failuresToStop) this.#end();
  }

  #watch(ms: number): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      this.#fail(`no answer within ${ms} ms`);
      this.#end();
    }, ms);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#watchdog);
    clearInterval(this.#ticker);
    if (this.measuring) this.#close();
    for (const client of this.#clients) client.close();
    this.#finish(this.outcome);
  }

  #close(): void {
    const { outcome } = this;
    const { pid, core } = this.order;
    outcome.wallMs += performance.now();
    if (pid !== undefined) outcome.cpuMs += cpuMs(pid);
    if (core !== undefined) outcome.foreignMs += coreBusyMs(core) - outcome.cpuMs;
    outcome.p50Us = this.#latencyUs.percentile(50);
    outcome.p99Us = this.#latencyUs.percentile(99);
  }
}

/** Runs one order. */
export function carryOut(order: Order): Promise<Outcome> {
  return new Promise((resolve) => {
    // oxlint-disable-next-line no-new -- a run lives by its sockets and ends by its callback
    new Run(order, resolve);
  });
}

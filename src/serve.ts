import { isDeepStrictEqual } from "node:util";
import type { Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { buildApp } from "./app.ts";
import { buildCatalog } from "./catalog/build.ts";
import type { Catalog } from "./catalog/catalog.ts";
import { startProbing, type Probing } from "./catalog/probe.ts";
import { openRecorder, type Recorder } from "./catalog/record.ts";
import { ConfigError } from "./config/config-error.ts";
import type { Config } from "./config/config.ts";
import type { Probe } from "./config/discover.ts";
import type { Env } from "./config/interpolate.ts";
import { loadConfig, loadOrDiscover } from "./config/load.ts";
import { watchConfig } from "./config/reload.ts";
import { newInFlight, type InFlight } from "./http/admission.ts";
import { authenticator, type Key } from "./http/auth.ts";
import { corsFor } from "./http/cors.ts";
import type { Served } from "./http/door.ts";
import { keepTick } from "./kept-tick.ts";
import { systemClock } from "./model/clock.ts";
import { newRetryBudget } from "./model/slot.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import { openHistory, type History } from "./telemetry/history.ts";
import { openLog, redactor, type LogOptions, type ProcessLog } from "./telemetry/log.ts";
import { openPools, type Pools } from "./upstream/pools.ts";

export interface ServeOptions {
  readonly env: Env;
  /** Path of the config file; without it the usual places, and then discovery. */
  readonly config?: string;
  readonly probe: Probe;
  /** Where log lines go; standard output when absent. */
  readonly logTo?: LogOptions["destination"];
  /** What requests draw from: jitter, order, seeds that nobody gave. */
  readonly random?: () => number;
}

export interface Running {
  /** `http://host:port`. */
  readonly url: string;
  /** Reads the config file again; a bad one is told and the last good one stays. */
  reload(): Promise<void>;
  /** Resolves when every server that may tell what its models can do was asked, once since the config was read. */
  readonly probed: Promise<void>;
  /** Stops taking requests, lets running ones end within `drainMs`, and releases everything. */
  close(): Promise<void>;
}

interface Parts {
  readonly log: ProcessLog;
  readonly pools: Pools;
  readonly store: Store;
  readonly recorder: Recorder | undefined;
  /** Where the gateway listens. */
  readonly host: string;
}

function toKey({ name, key, models, limits, budget, maxMultiplier }: Config["keys"][number]): Key {
  return {
    name,
    key,
    models,
    limits: { ...limits, ...(budget ? { budget } : {}) },
    ...(maxMultiplier === undefined ? {} : { maxMultiplier }),
  };
}

async function buildServed(config: Config, { log, pools, store, recorder, host }: Parts): Promise<Served> {
  const catalog = await buildCatalog(config, { pools, clock: systemClock, store, recorder, warn: (message) => log.warn(message) });
  const { heartbeatMs, heartbeat, commitAfterMs, cors } = config.server;
  const authenticate = authenticator(config.keys.map(toKey));
  const localOnly = config.keys.length === 0 && isLocal(host);
  return {
    catalog,
    localOnly,
    authenticate,
    cors: corsFor(cors.origins),
    heartbeatMs,
    heartbeat,
    commitAfterMs,
    logContent: config.log.content,
  };
}

function isLocal(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** An open gateway listens to this machine alone; one with keys to everybody. */
function addressOf(config: Config, log: ProcessLog): { host: string; port: number } {
  const { host, port } = config.server;
  const open = config.keys.length === 0;
  if (host !== undefined) {
    if (open && !isLocal(host))
      log.warn({ host }, "no keys are configured and other machines may call: whoever reaches this address spends on your providers");
    return { host, port };
  }
  log.info(
    { host: open ? "127.0.0.1" : "0.0.0.0" },
    open ? "no keys are configured, so only this machine may call" : "keys are configured, so every address is served",
  );
  return { host: open ? "127.0.0.1" : "0.0.0.0", port };
}

async function listen(app: FastifyInstance, address: { host: string; port: number }): Promise<string> {
  try {
    return await app.listen(address);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === "EADDRINUSE")
      throw new ConfigError([{ path: "server.port", message: `port ${address.port} is in use; set PORT or server.port` }]);
    if (code === "EACCES" || code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN")
      throw new ConfigError([{ path: "server.host", message: `can not listen on ${address.host} port ${address.port} (${code})` }]);
    throw thrown;
  }
}

function openConfiguredStore(config: Config, log: ProcessLog): Store {
  try {
    return openStore(config.store, (error) => log.error({ why: error.message }, "the store could not write; it will try again"));
  } catch (thrown) {
    throw new ConfigError([{ path: "store", message: (thrown as Error).message }], config.origin.file);
  }
}

/** The file that requests are recorded in; undefined when the config does not ask for it. */
function openConfiguredHistory({ record, origin }: Config, log: ProcessLog, redact: (text: string) => string): History | undefined {
  if (!record) return undefined;
  const onTrouble = (why: string, lost: number) => log.error({ why, lost }, "the history could not be written; requests go on");
  try {
    return openHistory({ ...record, redact, onTrouble });
  } catch (thrown) {
    throw new ConfigError([{ path: "record.path", message: (thrown as Error).message }], origin.file);
  }
}

/** Asks the servers what their models can do, beside the requests. */
function probeServers({ probes }: Catalog, log: ProcessLog): Probing {
  return startProbing(probes, {
    clock: systemClock,
    told: (provider, models) =>
      models === undefined
        ? log.info({ provider }, "it did not tell what its models can do; what is not known counts as able")
        : log.info({ provider, models }, "it told what its models can do"),
  });
}

/** How long a client that reads slowly may take at shutdown for what was written to it, at least. */
const LAST_BYTES_MS = 1000;

/** The sockets of all clients: those that were opened and never used, or whose request never came whole, must not hold up the end. */
function clientsOf(app: FastifyInstance): ReadonlySet<Socket> {
  const clients = new Set<Socket>();
  app.server.on("connection", (socket) => {
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
  });
  return clients;
}

interface Listener {
  readonly app: FastifyInstance;
  readonly clients: ReadonlySet<Socket>;
  readonly inFlight: InFlight;
}

/** Ends the listener: what runs may end within `drainMs`. What stands behind it stays open. */
async function closeListener({ app, clients, inFlight }: Listener, drainMs: number): Promise<void> {
  const startMs = systemClock.now();
  // New requests are refused and readiness turns false; the listener stays while the rest runs out, so that a balancer can see it.
  const drained = inFlight.drain(drainMs);
  const late = Promise.withResolvers<void>();
  using _late = systemClock.timer(drainMs + LAST_BYTES_MS, late.resolve);
  await Promise.race([drained, late.promise]);
  // The listener closes a moment later than it is told to.
  app.server.on("connection", (client: Socket) => client.destroy());
  const closed = app.close();
  // Every answer has been written by now, or will never be.
  for (const client of clients) client.destroySoon();
  const leftMs = Math.max(LAST_BYTES_MS, startMs + drainMs - systemClock.now());
  using _slow = systemClock.timer(leftMs, () => app.server.closeAllConnections());
  await closed;
}

/** What a reload does not change: the listener, its limits, the store and the log's level. */
const fixedAtStart: readonly ((config: Config) => unknown)[] = [
  ({ server: { heartbeatMs: _h, heartbeat: _b, commitAfterMs: _c, cors: _o, ...rest } }) => rest,
  ({ store }) => store,
  ({ log }) => log.level,
  ({ record }) => record,
];

/** Starts the gateway. Throws a ConfigError for what the operator can mend. */
export async function serve(options: ServeOptions): Promise<Running> {
  keepTick();
  const { env, probe } = options;
  const { config, file } = await loadOrDiscover({ env, probe, ...(options.config === undefined ? {} : { path: options.config }) });
  // A request that began under an older config may still tell its secrets.
  const secrets = new Set(config.secrets);
  let redact = redactor([...secrets]);
  // Closed in the reverse order: at the end, or here when the start fails.
  await using opened = new AsyncDisposableStack();
  const log = openLog({
    level: config.log.level,
    redact: (text) => redact(text),
    ...(options.logTo ? { destination: options.logTo } : {}),
  });
  opened.defer(() => log.close());
  const history = openConfiguredHistory(config, log, (text) => redact(text));
  opened.defer(() => history?.close());
  const pools = openPools();
  opened.defer(() => pools.close());
  const store = openConfiguredStore(config, log);
  opened.defer(() => store.close());
  const recorder =
    history && openRecorder({ append: (line) => history.append(line), content: config.record?.content ?? false, random: Math.random });
  const address = addressOf(config, log);
  const { host } = address;
  let current = await buildServed(config, { log, pools, store, recorder, host });
  const inFlight = newInFlight(config.server.maxInFlight);
  const door = {
    current: () => current,
    store,
    clock: systemClock,
    random: options.random ?? Math.random,
    inFlight,
    retries: newRetryBudget(),
    log,
    recorder,
  };
  const app = buildApp(door, config.server);
  const clients = clientsOf(app);
  const url = await listen(app, address);
  const behind = opened.move();
  const shutDown = async () => {
    const { drainMs } = config.server;
    log.info(
      { inFlight: inFlight.count, drainMs },
      "no new requests are taken; those under way may end, and a second signal ends them now",
    );
    await closeListener({ app, clients, inFlight }, drainMs);
    await behind.disposeAsync();
  };
  let closing: Promise<void> | undefined;
  let probing = probeServers(current.catalog, log);
  const readAgain = async () => {
    if (file === undefined) return;
    watcher?.seen();
    try {
      const next = loadConfig({ path: file, env });
      for (const secret of next.secrets) secrets.add(secret);
      redact = redactor([...secrets]);
      current = await buildServed(next, { log, pools, store, recorder, host });
      await probing.close();
      if (!closing) probing = probeServers(current.catalog, log);
      const fixed = fixedAtStart.filter((section) => !isDeepStrictEqual(section(next), section(config)));
      if (fixed.length > 0)
        log.warn("some settings of server, store, record and log.level hold from the start only; restart to change them");
      log.info({ models: current.catalog.list().length }, "the config was read again");
    } catch (thrown) {
      // Whatever it was: what runs goes on running.
      const why = thrown instanceof ConfigError ? thrown.message : (thrown as Error).stack;
      log.error({ why }, "the config was not taken; the last good one stays");
    }
  };
  let reloaded = Promise.resolve();
  // One after the other: an older file must not win over a newer one.
  const reload = () => (reloaded = reloaded.then(readAgain));
  const watcher = file === undefined ? undefined : watchConfig(file, () => void reload());
  const names = current.catalog.list().map(({ name }) => name);
  const isDemo = Object.values(config.providers).every(({ kind }) => kind === "demo");
  const discovered = isDemo ? "none: no key and no local server was found, so the models are simulated" : "none: discovered";
  log.info({ url: `${url}/v1`, models: names.slice(0, 20), config: file ?? discovered }, "chorale is listening");
  return {
    url,
    reload,
    get probed() {
      return probing.first;
    },
    close() {
      watcher?.close();
      void probing.close();
      closing ??= shutDown();
      return closing;
    },
  };
}

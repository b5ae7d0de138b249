import type { Signal } from "../../model/abort.ts";
import type { Clock } from "../../model/clock.ts";
import type { Pools } from "../../upstream/pools.ts";
import { Exchange } from "../../upstream/post.ts";
import type { Capabilities } from "../define.ts";

/** Servers that tell what their models can do, each in its own way. */
export type Telling = "llama.cpp" | "vllm" | "ollama";

/** Where a server is, and how it is asked. */
export interface Server {
  readonly name: string;
  readonly pool: ReturnType<Pools["of"]>;
  /** Path up to and with `/v1`. */
  readonly base: string;
  /** Flat. */
  readonly headers: readonly string[];
  readonly clock: Clock;
  readonly signal: Signal;
}

type Told = ReadonlyMap<string, Capabilities>;
type Json = Readonly<Record<string, unknown>>;

/** A server that answers at all answers this at once. */
const timeouts = { connectMs: 2000, firstTokenMs: 3000, idleMs: 2000, totalMs: 5000 } as const;
const MAX_BYTES = 4 * 1024 * 1024;
/** Models of an Ollama that are asked for, one by one. */
const MOST_MODELS = 64;

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function recordsOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

async function readWhole(exchange: Exchange): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for (let chunk = await exchange.read(); chunk; chunk = await exchange.read()) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BYTES) return undefined;
  }
  return Buffer.concat(chunks);
}

/** One request that costs nothing. An empty object where the server has no such page; throws when it can not be reached. */
async function ask({ name, pool, headers, clock, signal }: Server, path: string, question?: Json): Promise<Json> {
  const body = question && Buffer.from(JSON.stringify(question));
  const method = body ? "POST" : "GET";
  const exchange = new Exchange({ pool, method, path, headers, body, timeouts, clock, signal, upstream: name });
  try {
    const { status } = await exchange.head();
    const bytes = status === 200 ? await readWhole(exchange) : undefined;
    const answer: unknown = bytes && JSON.parse(bytes.toString("utf8"));
    return isRecord(answer) ? answer : {};
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return {};
    throw thrown;
  } finally {
    exchange.close();
  }
}

/** Beside the API, where servers keep pages of their own. */
function rootOf({ base }: Server): string {
  return base.replace(/\/v1$/, "");
}

function tokens(count: unknown): Pick<Capabilities, "contextLength"> {
  return typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? { contextLength: count } : {};
}

/** A server of one model, whatever it is called; one that loads models on demand tells a length of 0, and nothing of each. */
async function askLlamaCpp(server: Server): Promise<Told> {
  const props = await ask(server, `${rootOf(server)}/props`);
  const { modalities, default_generation_settings: settings } = props;
  const length = tokens(isRecord(settings) ? settings["n_ctx"] : undefined);
  if (length.contextLength === undefined) return new Map();
  const { vision, audio } = isRecord(modalities) ? modalities : {};
  const senses = { ...(typeof vision === "boolean" ? { images: vision } : {}), ...(typeof audio === "boolean" ? { audio } : {}) };
  return new Map([["*", { ...length, ...senses }]]);
}

/** Its models, those of adapters among them, which have the length of their parent. */
async function askVllm(server: Server): Promise<Told> {
  const { data } = await ask(server, `${server.base}/models`);
  const models = recordsOf(data);
  const lengths = new Map(models.map(({ id, max_model_len: length }) => [id, tokens(length)]));
  const adapted = new Set(models.map(({ parent }) => parent));
  return new Map(
    models.flatMap(({ id, parent }) => {
      if (typeof id !== "string") return [];
      return [[id, { ...lengths.get(parent), ...lengths.get(id), ...(adapted.has(id) ? { adapters: true } : {}) }]];
    }),
  );
}

function shownOf({ capabilities, model_info: info }: Json): Capabilities {
  const [, length] = Object.entries(isRecord(info) ? info : {}).find(([key]) => key.endsWith(".context_length")) ?? [];
  const can = textsOf(capabilities);
  return { ...tokens(length), ...(can.length > 0 ? { tools: can.includes("tools"), images: can.includes("vision") } : {}) };
}

/** The models that it has, each asked for by itself; `name:latest` is also called `name`. */
async function askOllama(server: Server): Promise<Told> {
  const { data } = await ask(server, `${server.base}/models`);
  const ids = recordsOf(data)
    .map(({ id }) => id)
    .filter((id) => typeof id === "string");
  const told = new Map<string, Capabilities>();
  for (const model of ids.slice(0, MOST_MODELS)) {
    const shown = shownOf(await ask(server, `${rootOf(server)}/api/show`, { model }));
    told.set(model, shown);
    if (model.endsWith(":latest")) told.set(model.slice(0, -":latest".length), shown);
  }
  return told;
}

const asks = { "llama.cpp": askLlamaCpp, vllm: askVllm, ollama: askOllama } as const satisfies Record<Telling, unknown>;

/** What a server tells of its models. Undefined when it tells nothing; rejects when it can not be reached. */
export async function probeServer(telling: Telling, server: Server): Promise<Told | undefined> {
  const told = await asks[telling](server);
  return told.size > 0 ? told : undefined;
}

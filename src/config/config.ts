import * as z from "zod";
import { node } from "../strategies/define.ts";
import type { Origin } from "./origin.ts";

const positive = z.number().int().positive();

const serverSection = z.strictObject({
  host: z.string().min(1).exactOptional().describe("Address to listen on. Without it 0.0.0.0 when there are keys, else 127.0.0.1."),
  port: z.number().int().min(0).max(65_535).default(8080),
  bodyLimitMb: z.number().positive().default(32).describe("Largest request body, in megabytes."),
  heartbeatMs: positive.default(10_000).describe("How often a waiting stream shows that it is alive."),
  heartbeat: z
    .enum(["comment", "data"])
    .default("comment")
    .describe("`data` sends empty chunks, for proxies that cut comment-only streams."),
  commitAfterMs: positive.default(20_000).describe("When the headers of a stream go out although no model has answered yet."),
  drainMs: z.number().int().nonnegative().default(30_000).describe("How long running requests may go on at shutdown."),
  headersTimeoutMs: positive.default(15_000).describe("For a client's request head."),
  requestTimeoutMs: positive.default(60_000).describe("For a client's whole request."),
  maxInFlight: positive.default(4096).describe("Requests at once; above it 503 at once."),
  cors: z
    .strictObject({
      origins: z.array(z.string().min(1)).default([]).describe('Origins that browsers may call from; "*" is any.'),
    })
    .prefault({}),
});

const keySection = z.strictObject({
  name: z.string().min(1).describe("Who this is, in logs and in spend."),
  key: z
    .string()
    .regex(/^[\x21-\x7e]{16,}$/, { error: "expected at least 16 printable ASCII characters, no spaces" })
    .describe("The secret itself: `${TEAM_A_KEY}`."),
  models: z.array(z.string().min(1)).default(["*"]).describe('Models that it may use, by name; "gpu/*" is any of gpu, "*" is any.'),
  limits: z
    .strictObject({
      requestsPerMinute: positive.exactOptional(),
      tokensPerMinute: positive.exactOptional(),
      concurrency: positive.exactOptional().describe("Requests at once."),
    })
    .prefault({}),
  budget: z
    .strictObject({
      usd: z.number().positive(),
      per: z.enum(["minute", "hour", "day", "month"]).describe("Calendar window, UTC."),
    })
    .exactOptional(),
  maxMultiplier: z.number().min(1).exactOptional().describe("Refuses models that may cost more than so many single calls."),
});

const storeSection = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("memory") }),
  z.strictObject({
    kind: z.literal("sqlite"),
    path: z.string().min(1).default("data/chorale.db").describe("Relative to the working directory."),
  }),
]);

const logSection = z.strictObject({
  level: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  content: z.boolean().default(false).describe("Log the text of messages and answers."),
});

const recordSection = z.strictObject({
  path: z.string().min(1).describe("The file; relative to the working directory."),
  content: z.boolean().default(false).describe("Record messages and answers too: what `replay` and some of `learn` need."),
  maxMb: z.number().min(1).default(100).describe("Largest size of the file; a full one is put aside."),
  keep: z.int().min(0).max(1000).default(3).describe("How many full files are kept, as `path.1` and so on."),
});

const word = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const name = z.string().regex(word, {
  error: "expected letters, digits, dot, dash and underscore, with a letter or digit first",
});

/** A provider as written. Its kind checks its own options, the catalog the common ones. */
const providerEntry = z.looseObject({ kind: z.string().min(1) });

/** The file. Strict: an unknown key is an error. The options of kinds are checked where the kinds are built. */
export const configSchema = z.strictObject({
  server: serverSection.prefault({}),
  keys: z.array(keySection).default([]).describe("Who may call. Without keys the gateway is open."),
  store: storeSection.prefault({ kind: "sqlite" }).describe("Where limits, spend and request records live."),
  providers: z.record(name, providerEntry).default({}).describe("Where models are; the key is the name in front of the slash."),
  models: z.record(name, node).default({}).describe("Virtual models: another model's name, or a node."),
  log: logSection.prefault({}),
  record: recordSection.exactOptional().describe("Write one line for each leg and request. Off without it."),
});

export type KeyConfig = z.output<typeof keySection>;
export type ProviderEntry = z.output<typeof providerEntry>;

/** A checked config. Frozen all the way down. */
export interface Config extends Readonly<z.output<typeof configSchema>> {
  readonly origin: Origin;
  /** Values that logs must not show. */
  readonly secrets: readonly string[];
}

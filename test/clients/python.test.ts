/** Python clients, over the same places as those of `node.test.ts`. One script does all of it; here is what it has to have found. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engineAvailable } from "../../engines/llama.ts";
import { clientKey } from "../support/gateway.ts";
import { startLoopClock, type LoopClock } from "../support/loop-clock.ts";
import type { Place } from "./client.ts";
import { Matrix, type Column, type Row } from "./matrix.ts";
import { kinds, modelFor, startSite, wheres, type Site, type Where } from "./site.ts";
import { answers, type Deed } from "./worker.ts";

const python = fileURLToPath(new URL("../../.engines/venv/bin/python", import.meta.url));
const script = fileURLToPath(new URL("drive.py", import.meta.url));

// Without the clients nothing is run here, except in CI, where their absence is a failure.
const describePython = describe.skipIf(!engineAvailable() && !process.env["CI"]);

interface Client extends Omit<Row, "version"> {
  readonly id: string;
  readonly module: "openai" | "huggingface_hub";
  /** The classes of its errors for a wrong key, an unknown model and messages that are too long. */
  readonly errors: readonly [string, string, string];
  /** It tries again, and reads `x-should-retry`. */
  readonly retries: boolean;
  /** It sends a schema as servers of its own maker take it: they alone hold to it, so that it can not be asked of every kind. */
  readonly hasOwnSchema: boolean;
}

const openai = {
  module: "openai",
  errors: ["AuthenticationError", "NotFoundError", "BadRequestError"],
  retries: true,
  hasOwnSchema: false,
} as const;
const inference = {
  module: "huggingface_hub",
  errors: ["HfHubHTTPError", "HfHubHTTPError", "BadRequestError"],
  retries: false,
  hasOwnSchema: true,
} as const;

const clients: readonly Client[] = [
  { id: "py-openai-chat", library: "`openai`", api: "chat", ...openai },
  { id: "py-openai-responses", library: "`openai`", api: "responses", ...openai },
  { id: "py-openai-chat-async", library: "`openai`, `AsyncOpenAI`", api: "chat", ...openai },
  { id: "py-openai-responses-async", library: "`openai`, `AsyncOpenAI`", api: "responses", ...openai },
  { id: "py-huggingface", library: "`huggingface_hub`", api: "chat", ...inference },
  { id: "py-huggingface-async", library: "`huggingface_hub`, `AsyncInferenceClient`", api: "chat", ...inference },
];

/** What a step found; of an error its class and status. */
interface Found {
  readonly text?: string;
  readonly tokens?: readonly number[];
  readonly pieces?: readonly string[];
  readonly added?: readonly (readonly number[])[];
  readonly parsed?: unknown;
  readonly leftMs?: number;
  readonly error?: string;
  readonly status?: number | null;
  readonly message?: string;
}

interface Step {
  readonly step: string;
  readonly client: string;
  readonly deed: string;
  readonly place: Place;
}

/** The client is a process of its own, which may have to wait between its reading of the clock and its leaving: the soonest of these counts. */
const leaves = ["leave 1", "leave 2", "leave 3"] as const;

const deeds = ["plain", "stream", "tools", "tools, streamed", "parsed"] as const;

/** All that is to be done. A place is complete but for where the gateway listens. */
function planFor(baseURL: string): readonly Step[] {
  const step = (step: string, client: string, deed: string, fields: Partial<Place>): Step => ({
    step,
    client,
    deed,
    place: { baseURL, apiKey: clientKey, model: "", maxRetries: 0, ...fields },
  });
  const deedOf = (index: number, { hasOwnSchema }: Client) => deeds[index % (deeds.length - (hasOwnSchema ? 1 : 0))]!;
  return clients.flatMap((client, at) => [
    ...wheres.flatMap((where) => {
      const { id } = client;
      const model = (deed: Deed) => modelFor(id, deed, where);
      const named = (what: string) => `${id} ${where} ${what}`;
      return [
        ...deeds.map((deed) => step(named(deed), id, deed, { model: model("answer") })),
        step(named("wrong key"), id, "plain", { model: model("answer"), apiKey: "sk-wrong" }),
        step(named("unknown model"), id, "plain", { model: "no-such-model" }),
        step(named("too long"), id, "plain", { model: model("refuse") }),
        step(named("cut"), id, "stream", { model: model("break") }),
        ...leaves.map((leave) => step(named(leave), id, "leave", { model: model("stall") })),
        step(named("limit"), id, "plain", { model: model("limit"), maxRetries: 1 }),
        step(named("fail"), id, "plain", { model: model("fail"), maxRetries: 1 }),
      ];
    }),
    ...kinds.map(({ kind, model }, index) => step(`${client.id} ${kind}`, client.id, deedOf(index + at, client), { model })),
  ]);
}

const matrix = new Matrix("python");

let site: Site;
let clock: LoopClock;
let versions: Readonly<Record<string, string>> = {};
const found = new Map<string, Found>();
const closing: (() => Promise<void>)[] = [];

/** Runs the script to its last step. It still lives then: what is closed was closed by a client. */
async function drive(): Promise<void> {
  if (!engineAvailable()) throw new Error("The Python clients are not set up: run `npm run setup:engines`.");
  const child = spawn(python, [script], { stdio: ["pipe", "pipe", "inherit"] });
  closing.push(async () => void child.kill("SIGKILL"));
  child.stdin.write(`${JSON.stringify(planFor(site.gateway.url))}\n`);
  for await (const line of createInterface(child.stdout)) {
    const { step, ...rest } = JSON.parse(line) as Found & { readonly step: string };
    if (step === "end") return;
    if (step === "versions") versions = rest as typeof versions;
    else found.set(step, rest);
  }
  throw new Error("The script ended too soon. Where it lacks a package, run `npm run setup:engines`.");
}

describePython("Python clients", () => {
  beforeAll(async () => {
    site = await startSite(
      clients.map(({ id }) => id),
      (close) => closing.push(close),
    );
    clock = startLoopClock((close) => closing.push(close));
    await drive();
  });

  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  });

  describe.each(clients)("$id", (client) => {
    const { id, errors, retries, hasOwnSchema } = client;
    const row = (): Row => ({ ...client, version: versions[client.module] ?? "" });
    const done = (feature: Column, what?: string) => matrix.done(id, row(), feature, what);

    describe.each(wheres)("over a %s", (where: Where) => {
      const of = (what: string): Found => found.get(`${id} ${where} ${what}`) ?? {};

      test("reads a whole answer and what it cost", () => {
        const legs = where === "leaf" ? 1 : 3;
        expect(of("plain")).toEqual({ text: answers.text, tokens: [7 * legs, 3 * legs] });
        done("plain");
      });

      test("reads a stream piece by piece", () => {
        const { pieces = [], ...rest } = of("stream");
        expect(rest).toEqual({});
        expect(pieces.join("")).toBe(answers.text);
        expect(pieces.length).toBeGreaterThan(1);
        done("stream");
      });

      test.each(["tools", "tools, streamed"] as const)("runs the loop of %s to its end", (feature) => {
        expect(of(feature)).toEqual({ text: answers.tool, added: [[2, 3]] });
        done(feature);
      });

      test("parses structured output", () => {
        expect(of("parsed")).toEqual({ parsed: answers.json });
        const formats = site.requests(id, "answer", where).map(({ json }) => json["response_format"]);
        const schema = expect.objectContaining({
          properties: { answer: expect.objectContaining({ type: "number" }) as unknown },
        }) as unknown;
        const format = hasOwnSchema
          ? { type: "json_object", value: schema }
          : { type: "json_schema", json_schema: expect.objectContaining({ schema }) as unknown };
        expect(formats).toContainEqual(format);
        done("structured output", hasOwnSchema ? "its own form" : "yes");
      });

      test("throws its own errors", () => {
        const thrown = ["wrong key", "unknown model", "too long"].map((what) => [of(what).error, of(what).status]);
        expect(thrown).toEqual([
          [errors[0], 401],
          [errors[1], 404],
          [errors[2], 400],
        ]);
        done("errors");
      });

      test("throws when a stream breaks", () => {
        expect(of("cut").error).toMatch(/Error$/);
        done("cut stream");
      });

      test("closes the upstream within 100 ms when it leaves", async () => {
        const stalled = site.requests(id, "stall", where).filter(({ model }) => !/-[ab]$/.test(model ?? ""));
        expect(stalled).toHaveLength(leaves.length);
        const closes = await Promise.all(stalled.map(({ closed }) => closed));
        expect(closes.map(({ complete }) => complete)).toEqual(leaves.map(() => false));
        const spans = leaves.map(
          (leave, index) => [(of(leave).leftMs ?? NaN) - performance.timeOrigin, closes[index]?.atMs ?? NaN] as const,
        );
        // Two processes, two readings of the clock.
        for (const [leftMs, closedMs] of spans) expect(closedMs - leftMs).toBeGreaterThan(-10);
        expect(Math.min(...spans.map(([leftMs, closedMs]) => clock.between(leftMs, closedMs)))).toBeLessThan(100);
        done("abort");
      });

      test("comes back as it is told to", () => {
        const legs = where === "leaf" ? [1, 2] : [2, 5];
        expect(site.requests(id, "limit", where)).toHaveLength(legs[retries ? 1 : 0]!);
        if (retries) expect(of("limit").text).toBe(answers.text);
        else expect(of("limit").status).toBe(429);
        done("429", retries ? "waits" : "never retries");
      });

      test("is told when to give up", () => {
        expect(of("fail").status).toBe(502);
        expect(site.requests(id, "fail", where)).toHaveLength(where === "leaf" ? 1 : 2);
        done("give up", retries ? "heeds" : "never retries");
      });
    });

    test.each(kinds)("reads an answer of $kind", ({ kind }) => {
      const answer = found.get(`${id} ${kind}`) ?? {};
      expect(answer.error, answer.message).toBeUndefined();
      expect(answer.pieces?.join("") ?? answer.text ?? JSON.stringify(answer.parsed)).toMatch(/\S/);
      if (answer.added) expect(answer.added.length).toBeGreaterThan(0);
      matrix.kind(id, row(), kind);
    });
  });

  test("docs/clients.md tells what was done", () => matrix.check());
});

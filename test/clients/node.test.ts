/** Clients of other people's, as they are published, over a bare leaf, a panel, and every kind of node. `docs/clients.md` tells what they did. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { clientKey } from "../support/gateway.ts";
import { startLoopClock, type LoopClock } from "../support/loop-clock.ts";
import { agentsClients } from "./agents.ts";
import { aiClients } from "./ai.ts";
import { anthropicClients } from "./anthropic.ts";
import type { Client, Place } from "./client.ts";
import { langchainClients } from "./langchain.ts";
import { openaiClients } from "./openai.ts";
import { kinds, modelFor, startSite, wheres, type Site } from "./site.ts";
import { Matrix, type Column } from "./matrix.ts";
import { answers, type Deed } from "./worker.ts";

const clients: readonly Client[] = [...openaiClients, ...aiClients, ...langchainClients, ...agentsClients, ...anthropicClients];

// Many clients wait for seconds before they come back.
vi.setConfig({ maxConcurrency: 64 });

const matrix = new Matrix("node");

let site: Site;
let clock: LoopClock;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  site = await startSite(
    clients.map(({ id }) => id),
    (close) => closing.push(close),
  );
  clock = startLoopClock((close) => closing.push(close));
});

afterAll(async () => {
  for (const close of closing) await close();
});

function placeOf(model: string, fields: Partial<Place> = {}): Place {
  return { baseURL: site.gateway.url, apiKey: clientKey, model, maxRetries: 0, ...fields };
}

interface Failure extends Error {
  readonly status?: number;
  readonly statusCode?: number;
  readonly cause?: { readonly status?: number };
}

/** What was thrown, by its class and status. */
async function thrownBy(promise: Promise<unknown>): Promise<readonly [string, number | undefined]> {
  try {
    await promise;
  } catch (thrown) {
    const { name, constructor, status, statusCode, cause } = thrown as Failure;
    return [name === "Error" ? constructor.name : name, status ?? statusCode ?? cause?.status];
  }
  throw new Error("nothing was thrown");
}

/** A signal, and when it was given. */
function leaving() {
  const controller = new AbortController();
  let leftMs = NaN;
  const leave = () => {
    leftMs = performance.now();
    controller.abort();
  };
  return { signal: controller.signal, leave, leftMs: () => leftMs };
}

async function expectClosed(request: ReturnType<Site["requests"]>[number] | undefined, leftMs: number): Promise<void> {
  const closed = await request?.closed;
  expect(closed?.complete).toBe(false);
  const closedMs = closed?.atMs ?? NaN;
  expect(closedMs).toBeGreaterThan(leftMs);
  // Client, gateway and upstream share this loop: what it did not run is the machine's, not the gateway's.
  expect(clock.between(leftMs, closedMs)).toBeLessThan(100);
}

describe.each(clients)("$id", (client) => {
  const { id } = client;
  const done = (feature: Column) => matrix.done(id, client, feature);

  describe.each(wheres)("over a %s", (where) => {
    const place = (deed: Deed, fields: Partial<Place> = {}) => placeOf(modelFor(id, deed, where), fields);

    test("reads a whole answer and what it cost", async () => {
      const { text, tokens } = await client.plain(place("answer"));
      const legs = where === "leaf" ? 1 : 3;
      expect({ text, tokens }).toEqual({ text: answers.text, tokens: [7 * legs, 3 * legs] });
      done("plain");
    });

    test("reads a stream piece by piece", async () => {
      const pieces = await client.stream(place("answer"));
      expect(pieces.join("")).toBe(answers.text);
      expect(pieces.length).toBeGreaterThan(1);
      done("stream");
    });

    test.each([
      { feature: "tools", stream: false },
      { feature: "tools, streamed", stream: true },
    ] as const)("runs the loop of $feature to its end", async ({ feature, stream }) => {
      const added: unknown[] = [];
      const text = await client.tools(place("answer"), { stream, add: (a, b) => (added.push([a, b]), a + b) });
      expect({ text, added }).toEqual({ text: answers.tool, added: [[2, 3]] });
      done(feature);
    });

    test("parses structured output", async () => {
      expect(await client.parsed(place("answer"))).toEqual(answers.json);
      done("structured output");
    });

    test("throws its own errors", async () => {
      const [unauthenticated, missing, refused] = client.errors;
      expect(await thrownBy(client.plain(place("answer", { apiKey: "sk-wrong" })))).toEqual([unauthenticated, 401]);
      expect(await thrownBy(client.plain(placeOf("no-such-model")))).toEqual([missing, 404]);
      expect(await thrownBy(client.plain(place("refuse")))).toEqual([refused, 400]);
      done("errors");
    });

    test("throws when a stream breaks", async () => {
      await expect(client.stream(place("break"))).rejects.toThrow();
      done("cut stream");
    });

    test("closes the upstream within 100 ms when it leaves a stream, and when it does not wait for a whole answer", async () => {
      const stalled = () => site.requests(id, "stall", where).filter(({ model }) => !/-[ab]$/.test(model ?? ""));
      const streamed = leaving();
      await client.leave(place("stall"), { signal: streamed.signal, onText: streamed.leave }).catch(() => {});
      await expectClosed(stalled()[0], streamed.leftMs());
      const whole = leaving();
      const answer = client.plain(place("stall"), whole.signal).catch(() => {});
      await expect.poll(() => stalled().length, { interval: 5 }).toBe(2);
      whole.leave();
      await answer;
      await expectClosed(stalled()[1], whole.leftMs());
      done("abort");
    });
  });
});

describe.concurrent.each(clients)("$id", (client) => {
  const { id, heeds } = client;

  test.each(wheres)("comes back as it is told to, over a %s", async (where) => {
    const { text } = await client.plain(placeOf(modelFor(id, "limit", where), { maxRetries: 1 }));
    expect(text).toBe(answers.text);
    expect(site.requests(id, "limit", where)).toHaveLength(where === "leaf" ? 2 : 5);
    matrix.done(id, client, "429", "waits");
  });

  test.each(wheres)("is told when to give up, over a %s", async (where) => {
    await expect(client.plain(placeOf(modelFor(id, "fail", where), { maxRetries: 1 }))).rejects.toThrow();
    const tries = site.requests(id, "fail", where).length / (where === "leaf" ? 1 : 2);
    expect(tries).toBe(heeds ? 1 : 2);
    matrix.done(id, client, "give up", heeds ? "heeds" : "repeats");
  });
});

/** A tool loop of a simulated model, which calls the tool with numbers of its own. */
async function loop(client: Client, place: Place, stream: boolean): Promise<string> {
  let added = 0;
  const text = await client.tools(place, { stream, add: (a, b) => ((added += 1), a + b) });
  expect(added).toBeGreaterThan(0);
  return text;
}

/** What a client does over each kind; over all clients a kind sees each of these, and over all kinds a client does each. */
const deeds: readonly ((client: Client, place: Place) => Promise<unknown>)[] = [
  async (client, place) => (await client.plain(place)).text,
  async (client, place) => (await client.stream(place)).join(""),
  (client, place) => loop(client, place, false),
  (client, place) => loop(client, place, true),
  async (client, place) => JSON.stringify(await client.parsed(place)),
];

describe.each(kinds.map((kind, index) => ({ ...kind, index })))("$kind", ({ kind, model, index }) => {
  test.each(clients.map((client, at) => ({ id: client.id, client, at })))("by $id", async ({ client, at }) => {
    const deed = deeds[(index + at) % deeds.length]!;
    expect(await deed(client, placeOf(model))).toMatch(/\S/);
    matrix.kind(client.id, client, kind);
  });
});

test("docs/clients.md tells what was done", () => matrix.check());

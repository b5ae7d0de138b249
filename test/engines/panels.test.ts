import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { engineAvailable, type Llama, startLlama } from "../../engines/llama.ts";
import { type Running, serve } from "../../src/serve.ts";
import { accumulate, validateError, validateStream } from "../support/stream-validator.ts";

// Without the engine nothing is run here, except in CI, where its absence is a failure.
const describeEngine = describe.skipIf(!engineAvailable() && !process.env["CI"]);

const local = new URL("../../engines/local.yaml", import.meta.url);
const client = fileURLToPath(new URL("client.py", import.meta.url));
const python = fileURLToPath(new URL("../../.engines/venv/bin/python", import.meta.url));

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

interface Answer {
  readonly model: string;
  readonly choices: readonly { readonly finish_reason: string; readonly message: { readonly role: string; readonly content: string } }[];
  readonly usage: Usage;
  readonly chorale: {
    readonly strategy: readonly string[];
    readonly decision?: Readonly<Record<string, unknown>>;
    readonly members: readonly { readonly label: string; readonly status: string; readonly usage: Usage }[];
    readonly degraded: readonly string[];
    readonly costCoverage: number;
  };
}

let folder: string;
let llama: Llama;
let gateway: Running;

/** engines/local.yaml and, beside its models, wrappers round the same one. The first member of the fallback is a port where nobody listens. */
function withWrappers(): string {
  const config = parse(readFileSync(local, "utf8")) as { readonly providers: { readonly local: object }; readonly models: object };
  return JSON.stringify({
    ...config,
    providers: {
      ...config.providers,
      unprobed: { ...config.providers.local, probe: false },
      gone: { kind: "openai", baseUrl: "http://127.0.0.1:1/v1", models: ["nobody"], retry: { attempts: 1 } },
    },
    models: {
      ...config.models,
      retried: { kind: "retry", model: "plain" },
      rescued: { kind: "fallback", members: ["gone/nobody", "plain"] },
      bounded: { kind: "timeout", model: "plain", timeouts: { totalMs: 60_000 } },
    },
  });
}

const start = async (): Promise<void> => {
  folder = mkdtempSync(join(tmpdir(), "chorale-"));
  // One thread: test files run side by side, and engines that share cores wait for each other at every token.
  llama = await startLlama({ threads: 1 });
  const config = join(folder, "chorale.yaml");
  writeFileSync(config, withWrappers());
  const env = { LOCAL_ENGINE_URL: `${llama.url}/v1`, PORT: "0", LOG_LEVEL: "silent" };
  gateway = await serve({ env, config, probe: () => Promise.resolve(undefined) });
};

const stop = async (): Promise<void> => {
  await gateway?.close();
  await llama?.close();
  rmSync(folder, { recursive: true, force: true });
};

function post(base: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${base}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

function user(content: string): object {
  return { messages: [{ role: "user", content }] };
}

/** Slots of the engine that are at work. */
async function busySlots(): Promise<number> {
  const slots = (await (await fetch(`${llama.url}/slots`)).json()) as readonly { readonly is_processing: boolean }[];
  return slots.filter((slot) => slot.is_processing).length;
}

const untilBusy = () => expect.poll(busySlots, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0);
const untilIdle = () => expect.poll(busySlots, { timeout: 1_000, interval: 10 }).toBe(0);

function expectSum({ usage, chorale: { members } }: Pick<Answer, "usage" | "chorale">): void {
  const sum = (key: keyof Usage) => members.reduce((total, member) => total + member.usage[key], 0);
  expect({ ...usage }).toMatchObject({
    prompt_tokens: sum("prompt_tokens"),
    completion_tokens: sum("completion_tokens"),
    total_tokens: sum("total_tokens"),
  });
}

// The engine's own `ignore_eos`: every answer has just as many tokens as it may, whatever the model thinks of.
const bounded = { temperature: 0, max_tokens: 24, ignore_eos: true, chorale: { expose: "full" } };
const clear = user("Count from 1 to 10.");
const vague = user("Invent a word.");

const kinds = [
  { title: "a plain leaf", model: "plain", question: clear, strategy: [], legs: 1 },
  { title: "a leaf by its own name", model: "local/smollm2", question: clear, strategy: [], legs: 1 },
  { title: "vote", model: "local-vote", question: clear, strategy: ["vote"], legs: 3 },
  { title: "fuse", model: "local-fuse", question: vague, strategy: ["fuse"], legs: 4 },
  { title: "a cascade that accepts", model: "local-cascade", question: clear, strategy: ["cascade"], legs: 1 },
  { title: "a cascade that goes on", model: "local-cascade", question: vague, strategy: ["cascade", "fuse"], legs: 5 },
  { title: "retry", model: "retried", question: clear, strategy: ["retry"], legs: 1 },
  { title: "fallback", model: "rescued", question: clear, strategy: ["fallback"], legs: 2 },
  { title: "timeout", model: "bounded", question: clear, strategy: ["timeout"], legs: 1 },
] as const;

describeEngine("panels of a real model", () => {
  beforeAll(start, 60_000);
  afterAll(stop);

  describe.each(kinds)("$title", ({ model, question, strategy, legs }) => {
    test("answers whole", async () => {
      const response = await post(gateway.url, { model, ...question, ...bounded });
      const answer = (await response.json()) as Answer;
      expect(response.status).toBe(200);
      expect(response.headers.get("x-chorale-model")).toBe("local/smollm2");
      expect(response.headers.get("x-chorale-degraded")).toBe(null);
      expect(answer).toMatchObject({
        object: "chat.completion",
        model,
        choices: [{ index: 0, finish_reason: "length", message: { role: "assistant", content: expect.stringMatching(/\S/) } }],
        chorale: { strategy, degraded: [], costCoverage: 1 },
      });
      expect(answer.chorale.members).toHaveLength(legs);
      expectSum(answer);
    }, 60_000);

    test("answers as a stream", async () => {
      const response = await post(gateway.url, { model, ...question, ...bounded, stream: true, stream_options: { include_usage: true } });
      const bytes = await response.text();
      expect(response.status).toBe(200);
      expect(validateStream(bytes, { usage: true })).toEqual([]);
      expect(accumulate(bytes)).toMatchObject({
        model,
        choices: [{ index: 0, finish_reason: "length", message: { role: "assistant", content: expect.stringMatching(/\S/) } }],
      });
      const last = framesOf(bytes).at(-1) as unknown as Answer;
      expect(last.chorale).toMatchObject({ strategy, degraded: [] });
      expect(last.chorale.members).toHaveLength(legs);
      expectSum(last);
    }, 60_000);
  });

  test("a cascade tells what its gate measured", async () => {
    const gateOf = async (question: object) => {
      const answer = (await (await post(gateway.url, { model: "local-cascade", ...question, ...bounded })).json()) as Answer;
      const [gate] = answer.chorale.decision!["steps"] as readonly { outcome: string; measured: number; threshold: number }[];
      return gate!;
    };
    const accepted = await gateOf(clear);
    const refused = await gateOf(vague);
    expect(accepted.outcome).toBe("accepted");
    expect(refused.outcome).toBe("refused");
    expect(refused.measured).toBeLessThan(refused.threshold);
    expect(accepted.measured).toBeGreaterThanOrEqual(accepted.threshold);
  }, 60_000);

  test.each([false, true])(
    "a context that is too long is the engine's own 400 where nobody asked how long it may be (stream: %s)",
    async (stream) => {
      const tooLong = { ...user("word ".repeat(3_000)), stream };
      const direct = (await (await post(llama.url, { model: llama.model, ...tooLong })).json()) as { error: { message: string } };
      const response = await post(gateway.url, { model: "unprobed/smollm2", ...tooLong });
      const body = (await response.json()) as { error: object };
      expect(response.status).toBe(400);
      expect(validateError(body, response.headers, [new URL(llama.url).host])).toEqual([]);
      expect(body.error).toEqual({
        message: direct.error.message,
        type: "invalid_request_error",
        param: null,
        code: "context_length_exceeded",
      });
    },
    60_000,
  );

  test("a context that is too long is refused without the engine once it told how long it may be", async () => {
    const refusal = async () => {
      const response = await post(gateway.url, { model: "plain", ...user("word ".repeat(3_000)) });
      return [response.status, ((await response.json()) as { error: object }).error];
    };
    const error = {
      message: expect.stringContaining("maximum context length is 2048 tokens") as unknown,
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    };
    await expect.poll(refusal, { timeout: 10_000, interval: 10 }).toEqual([400, error]);
  });

  // Left out: a whole answer of one leaf. The gateway drops its connection, but this engine looks at that in streams alone.
  test.each([
    { model: "plain", stream: true },
    { model: "local-cascade", stream: true },
    { model: "local-vote", stream: true },
    { model: "local-vote", stream: false },
    { model: "local-fuse", stream: true },
    { model: "local-fuse", stream: false },
  ])(
    "a client that leaves $model frees the engine (stream: $stream)",
    async ({ model, stream }) => {
      const leaving = new AbortController();
      const left = post(gateway.url, { model, ...vague, max_tokens: 512, ignore_eos: true, stream }, leaving.signal)
        .then((response) => response.text())
        .catch((error: Error) => error.name);
      await untilBusy();
      leaving.abort();
      expect(await left).toBe("AbortError");
      await untilIdle();
    },
    60_000,
  );
});

/** The parsed frames of a stream, without `[DONE]`. */
function framesOf(bytes: string): readonly Readonly<Record<string, unknown>>[] {
  const datas = bytes.split("\n").filter((line) => line.startsWith("data: {"));
  return datas.map((line) => JSON.parse(line.slice("data: ".length)) as Readonly<Record<string, unknown>>);
}

describeEngine("openai-python through the gateway", () => {
  beforeAll(start, 60_000);
  afterAll(stop);

  test("reads whole answers, streams and errors, and leaves cleanly", async () => {
    const child = spawn(python, [client, `${gateway.url}/v1`, "plain"], { stdio: ["pipe", "pipe", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const told = new Map<unknown, Readonly<Record<string, unknown>>>();
    for await (const line of createInterface(child.stdout)) {
      const { step, ...found } = JSON.parse(line) as Readonly<Record<string, unknown>>;
      told.set(step, found);
      if (step === "abort") break;
    }
    // It still runs: what freed the engine was the closed stream, not the end of the client.
    await untilIdle();
    expect(child.exitCode).toBe(null);
    const whole = {
      model: "plain",
      text: expect.stringContaining("7") as unknown,
      finish: "stop",
      completionTokens: expect.any(Number) as unknown,
    };
    expect(told.get("plain")).toEqual(whole);
    expect(told.get("stream")).toEqual({ ...told.get("plain"), role: "assistant" });
    const requestId = expect.stringMatching(/^req_/) as unknown;
    expect(told.get("unknown model")).toEqual({
      error: "NotFoundError",
      status: 404,
      code: "model_not_found",
      type: "invalid_request_error",
      requestId,
    });
    expect(told.get("context overflow")).toEqual({
      error: "BadRequestError",
      status: 400,
      code: "context_length_exceeded",
      type: "invalid_request_error",
      requestId,
    });
    child.stdin.end();
  }, 60_000);
});

describeEngine("npm run start:local", () => {
  test("leaves neither gateway nor engine behind, even by kill -9", async () => {
    const child = spawn(process.execPath, [fileURLToPath(new URL("../../engines/start-local.ts", import.meta.url))], {
      env: { ...process.env, PORT: "0", LOG_LEVEL: "info" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const urls: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      urls.push(...(/http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? []));
      if (urls.length === 2) break;
    }
    const alive = () =>
      Promise.all(
        urls.map((url) =>
          fetch(`${url}/health`).then(
            (response) => response.ok,
            () => false,
          ),
        ),
      );
    expect(await alive()).toEqual([true, true]);
    child.kill("SIGKILL");
    await expect.poll(alive, { timeout: 5_000 }).toEqual([false, false]);
  }, 60_000);
});

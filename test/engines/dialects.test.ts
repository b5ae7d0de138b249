/** A real server that speaks three dialects: each through the gateway, beside a call that nobody stands between. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engineAvailable, type Llama, startLlama } from "../../engines/llama.ts";
import { type Running, serve } from "../../src/serve.ts";
import { parseRaw, sendRaw } from "../support/gateway.ts";
import { accumulate, validateStream } from "../support/stream-validator.ts";

// Without the engine nothing is run here, except in CI, where its absence is a failure.
const describeEngine = describe.skipIf(!engineAvailable() && !process.env["CI"]);

/** An answer as all dialects tell it. */
interface Told {
  readonly text: string | undefined;
  readonly reason: string | null | undefined;
  /** Tokens of the prompt, of the answer, and of both. */
  readonly usage: readonly number[];
}

interface Chat {
  readonly choices: readonly { readonly finish_reason: string; readonly message: { readonly content: string } }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number };
}

const ofChat = ({ choices: [choice], usage }: Chat): Told => ({
  text: choice?.message.content,
  reason: choice?.finish_reason,
  usage: [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens],
});

interface Response {
  readonly status: string;
  readonly output: readonly { readonly content: readonly { readonly text: string }[] }[];
  readonly usage: { readonly input_tokens: number; readonly output_tokens: number; readonly total_tokens: number };
}

const ofResponse = ({ status, output, usage }: Response): Told => ({
  text: output[0]?.content[0]?.text,
  reason: status,
  usage: [usage.input_tokens, usage.output_tokens, usage.total_tokens],
});

interface Message {
  readonly stop_reason: string | null;
  readonly content: readonly { readonly text: string }[];
  readonly usage: { readonly input_tokens: number; readonly cache_read_input_tokens?: number; readonly output_tokens: number };
}

/** In the words of a chat. */
const reasons: Readonly<Record<string, string>> = { end_turn: "stop", stop_sequence: "stop", max_tokens: "length" };

function ofMessage({ stop_reason: reason, content, usage }: Message): Told {
  // What came out of the engine's cache is not among its input tokens.
  const input = usage.input_tokens + (usage.cache_read_input_tokens ?? 0);
  return { text: content[0]?.text, reason: reasons[reason ?? ""], usage: [input, usage.output_tokens, input + usage.output_tokens] };
}

type Event = Readonly<Record<string, unknown>>;

/** The data of the events of one type. */
function eventsOf(stream: string, type: string): readonly unknown[] {
  const datas = stream.split("\n").filter((line) => line.startsWith("data: {"));
  return datas.map((line) => JSON.parse(line.slice("data: ".length)) as Event).filter((event) => event["type"] === type);
}

function ofResponseStream(stream: string, end = "response.completed"): Told {
  const text = (eventsOf(stream, "response.output_text.delta") as { delta: string }[]).map(({ delta }) => delta);
  const [last] = eventsOf(stream, end) as { response: Response }[];
  if (!last) throw new Error(`no ${end}: ${stream}`);
  return { ...ofResponse(last.response), text: text.join("") };
}

function ofMessageStream(stream: string): Told {
  const [start] = eventsOf(stream, "message_start") as { message: Message }[];
  const [end] = eventsOf(stream, "message_delta") as { delta: { stop_reason: string }; usage: object }[];
  const text = (eventsOf(stream, "content_block_delta") as { delta: { text: string } }[]).map(({ delta }) => delta.text);
  if (!start || !end) throw new Error(`no message: ${stream}`);
  return ofMessage({
    stop_reason: end.delta.stop_reason,
    content: [{ text: text.join("") }],
    usage: { ...start.message.usage, ...end.usage },
  });
}

const ofChatStream = (stream: string): Told => ofChat(accumulate(stream) as unknown as Chat);

const messages = [
  { role: "system", content: "You know numbers." },
  { role: "user", content: "Hello!" },
  { role: "assistant", content: "Hello! What do you want to know?" },
  { role: "user", content: "How many days are in a week?" },
];
const [system, ...turns] = messages;
/** Without the engine's own cache of prompts, whose hits would show in the usage. */
const question = { model: "smollm2", messages, temperature: 0, cache_prompt: false };
// The server takes an assistant's turn in this form alone.
const input = turns.map(({ role, content }) =>
  role === "assistant"
    ? { type: "message", role, status: "completed", content: [{ type: "output_text", text: content }] }
    : { role, content },
);
const asked = { model: "smollm2", instructions: system?.content, input, temperature: 0, cache_prompt: false };
const streamed = { stream: true, stream_options: { include_usage: true } };

describeEngine("a llama server through the gateway", () => {
  let folder: string;
  let llama: Llama;
  let gateway: Running;
  beforeAll(async () => {
    llama = await startLlama({ threads: 1 });
    folder = mkdtempSync(join(tmpdir(), "chorale-dialects-"));
    const config = join(folder, "chorale.yaml");
    const baseUrl = `${llama.url}/v1`;
    const providers = {
      chat: { kind: "openai", dialect: "llama.cpp", baseUrl, models: ["smollm2"] },
      messages: { kind: "anthropic", baseUrl, models: ["smollm2"] },
    };
    writeFileSync(config, JSON.stringify({ server: { port: 0 }, store: { kind: "memory" }, providers }));
    gateway = await serve({ env: {}, config, probe: async () => undefined, logTo: { write: () => {} } });
  });
  afterAll(async () => {
    await gateway?.close();
    await llama?.close();
    if (folder) rmSync(folder, { recursive: true });
  });

  async function post(base: string, path: string, body: object): Promise<string> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${base}/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return text;
  }
  const direct = async (path: string, body: object) => post(llama.url, path, body);
  const through = async (path: string, body: object) => post(gateway.url, path, body);

  describe.each([
    { title: "to its end", bound: { max_tokens: 48 }, reason: "stop" },
    { title: "up to its bound", bound: { max_tokens: 5 }, reason: "length" },
    { title: "up to a stop", bound: { max_tokens: 48, stop: ["7"] }, reason: "stop" },
  ])("a chat $title", ({ bound, reason }) => {
    test("is the server's own, whole and streamed", async () => {
      const body = { ...question, ...bound };
      const expected = ofChat(JSON.parse(await direct("chat/completions", body)) as Chat);
      expect(expected.text).toMatch(/\S/);
      expect(expected.reason).toBe(reason);
      expect(ofChat(JSON.parse(await through("chat/completions", { ...body, model: "chat/smollm2" })) as Chat)).toEqual(expected);
      expect(ofChatStream(await direct("chat/completions", { ...body, ...streamed }))).toEqual(expected);
      const stream = await through("chat/completions", { ...body, ...streamed, model: "chat/smollm2" });
      expect(validateStream(stream, { usage: true })).toEqual([]);
      expect(ofChatStream(stream)).toEqual(expected);
    });

    test("is that of the Messages API, whole and streamed", async () => {
      const { stop, ...limit } = { stop: undefined, ...bound };
      const own = { model: "smollm2", system: system?.content, messages: turns, temperature: 0, ...limit, stop_sequences: stop };
      // The cache of prompts can not be turned off here: with the prompt in it all that follows is alike.
      await direct("messages", own);
      const expected = ofMessage(JSON.parse(await direct("messages", own)) as Message);
      expect(expected.text).toMatch(/\S/);
      expect(expected.reason).toBe(reason);
      expect(ofMessageStream(await direct("messages", { ...own, stream: true }))).toEqual(expected);
      const body = { model: "messages/smollm2", messages, temperature: 0, ...bound };
      expect(ofChat(JSON.parse(await through("chat/completions", body)) as Chat)).toEqual(expected);
      const stream = await through("chat/completions", { ...body, ...streamed });
      expect(validateStream(stream, { usage: true })).toEqual([]);
      expect(ofChatStream(stream)).toEqual(expected);
    });
  });

  test("a response is the one that the server would give, whole and streamed", async () => {
    const expected = ofResponse(JSON.parse(await direct("responses", { ...asked, max_output_tokens: 48 })) as Response);
    expect(expected.text).toMatch(/\S/);
    const body = { ...asked, model: "chat/smollm2", max_output_tokens: 48 };
    expect(ofResponse(JSON.parse(await through("responses", body)) as Response)).toEqual(expected);
    expect(ofResponseStream(await direct("responses", { ...asked, max_output_tokens: 48, stream: true }))).toEqual(expected);
    expect(ofResponseStream(await through("responses", { ...body, stream: true }))).toEqual(expected);
  });

  test("a response that its bound cut says so, which the server does not", async () => {
    const expected = ofResponse(JSON.parse(await direct("responses", { ...asked, max_output_tokens: 5 })) as Response);
    expect(expected.reason).toBe("completed");
    const body = { ...asked, model: "chat/smollm2", max_output_tokens: 5 };
    const cut = { ...expected, reason: "incomplete" };
    const answer = JSON.parse(await through("responses", body)) as Response & { incomplete_details: object };
    expect(ofResponse(answer)).toEqual(cut);
    expect(answer.incomplete_details).toEqual({ reason: "max_output_tokens" });
    expect(ofResponseStream(await through("responses", { ...body, stream: true }), "response.incomplete")).toEqual(cut);
  });

  test("a response over the Messages API is the one of the chat", async () => {
    const body = { instructions: system?.content, input, temperature: 0, max_output_tokens: 48 };
    const [chat, other] = await Promise.all(
      ["chat/smollm2", "messages/smollm2"].map(async (model) =>
        ofResponse(JSON.parse(await through("responses", { ...body, model })) as Response),
      ),
    );
    expect(other).toEqual(chat);
  });

  /** The body of a stream as it came over the socket. */
  async function bytesOf(base: string, body: object): Promise<string> {
    const json = JSON.stringify(body);
    const { host, port } = new URL(base);
    const head = ["POST /v1/chat/completions HTTP/1.1", `host: ${host}`, "connection: close", "content-type: application/json"];
    const request = [...head, `content-length: ${Buffer.byteLength(json)}`, "", json].join("\r\n");
    const answer = parseRaw(await sendRaw(Number(port), [request]));
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toMatch(/^text\/event-stream/);
    expect(answer.headers["transfer-encoding"]).toBe("chunked");
    return unchunked(answer.body);
  }

  test.each([
    ["with its usage", { stream_options: { include_usage: true } }],
    ["with log-probabilities", { stream_options: { include_usage: true }, logprobs: true, top_logprobs: 2 }],
    ["of characters that are no ASCII", { stream_options: { include_usage: true }, grammar: saying("He says: café 😀 日本") }],
  ])("a stream %s is the server's own, byte for byte but for its identity", async (_, fields) => {
    const body = { ...question, max_tokens: 24, stream: true, ...fields };
    const own = await bytesOf(llama.url, body);
    const passed = await bytesOf(gateway.url, { ...body, model: "chat/smollm2" });
    expect(own).toMatch(/\n\ndata: \[DONE\]\n\n$/);
    expect(own).toContain('"usage":{');
    expect(valuesOf(own, "model")).toEqual(["smollm2"]);
    expect(valuesOf(passed, "model")).toEqual(["chat/smollm2"]);
    expect(valuesOf(passed, "id")).toHaveLength(1);
    expect(valuesOf(passed, "created")).toHaveLength(1);
    expect(anonymous(passed)).toBe(anonymous(own));
  });

  test("a stream in which the server forgot the role gets one, and nothing else", async () => {
    const body = { ...question, max_tokens: 24, ...streamed, grammar: saying("日本") };
    const own = await bytesOf(llama.url, body);
    // It loses its first chunk where a token is half a character.
    expect(own).not.toContain('"role"');
    const passed = await bytesOf(gateway.url, { ...body, model: "chat/smollm2" });
    expect(validateStream(passed, { usage: true })).toEqual([]);
    const chunks = (bytes: string) => anonymous(bytes).split("\n\n");
    const [first = "", ...rest] = chunks(passed);
    const [expected = "", ...others] = chunks(own);
    expect(rest.filter((event) => !event.startsWith(":"))).toEqual(others);
    const { choices } = JSON.parse(expected.slice("data: ".length)) as { choices: readonly [{ delta: object }] };
    const delta = { role: "assistant", ...choices[0].delta };
    expect(JSON.parse(first.slice("data: ".length))).toMatchObject({ choices: [{ ...choices[0], delta }] });
  });
});

/** The engine's own `grammar`, by which it can write nothing but this. */
function saying(text: string): string {
  return `root ::= ${JSON.stringify(text)}`;
}

/** The pieces of a chunked body in one; each is as long as it says. */
function unchunked(body: string): string {
  let rest = body;
  let whole = "";
  for (;;) {
    const at = rest.indexOf("\r\n");
    const length = Number.parseInt(rest.slice(0, at), 16);
    if (length === 0) return whole;
    whole += rest.slice(at + 2, at + 2 + length);
    if (!rest.startsWith("\r\n", at + 2 + length)) throw new Error(`a broken chunk at ${JSON.stringify(rest.slice(0, 40))}`);
    rest = rest.slice(at + 4 + length);
  }
}

/** What stands under a key at the top of the chunks, each value once. */
function valuesOf(bytes: string, key: string): readonly unknown[] {
  const datas = bytes.split("\n").filter((line) => line.startsWith("data: {"));
  return [...new Set(datas.map((line) => (JSON.parse(line.slice("data: ".length)) as Event)[key]))];
}

/** A stream without what differs between two runs of the server: identity, and the numbers of its timings. */
function anonymous(bytes: string): string {
  return bytes
    .replace(/"(id|model)":"[^"]*"/g, '"$1":""')
    .replace(/"created":\d+/g, '"created":0')
    .replace(/"timings":\{[^}]*\}/g, (timings) => timings.replace(/:-?[\d.e+-]+/g, ":0"));
}

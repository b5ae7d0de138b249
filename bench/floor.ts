// The least that a gateway on node:http and undici can do: bytes in, bytes on. `/fan3` asks three times and merges.
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Pool } from "undici";
import type { Dispatcher } from "undici";

interface Completion {
  choices: { index: number }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
}

const pool = new Pool(process.env["BENCH_UPSTREAM"] ?? "");

function question(asked: IncomingMessage, body: Buffer): Dispatcher.DispatchOptions {
  const headers = ["content-type", "application/json", "authorization", asked.headers.authorization ?? ""];
  return { method: "POST", path: "/v1/chat/completions", headers, body };
}

function readBody(asked: IncomingMessage, take: (body: Buffer) => void): void {
  const pieces: Buffer[] = [];
  asked.on("data", (piece: Buffer) => pieces.push(piece));
  asked.on("end", () => take(pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces)));
}

function fail(response: ServerResponse, error: Error): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(502, { "content-type": "text/plain" }).end(error.message);
}

/** Passes one upstream answer on as it comes. */
class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    const flat: string[] = [];
    for (const name in headers) {
      const value = headers[name];
      if (name === "connection" || name === "keep-alive" || name === "transfer-encoding" || value === undefined) continue;
      flat.push(name, String(value));
    }
    this.#response.writeHead(status, flat);
  }

  onResponseData(_controller: Dispatcher.DispatchController, bytes: Buffer): void {
    this.#response.write(bytes);
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    fail(this.#response, error);
  }
}

/** Keeps one upstream answer until it is whole. */
class Keep implements Dispatcher.DispatchHandler {
  readonly #pieces: Buffer[] = [];
  readonly #take: (answer: Completion | Error) => void;

  constructor(take: (answer: Completion | Error) => void) {
    this.#take = take;
  }

  onRequestStart(): void {}

  onResponseStart(): void {}

  onResponseData(_controller: Dispatcher.DispatchController, bytes: Buffer): void {
    this.#pieces.push(bytes);
  }

  onResponseEnd(): void {
    this.#take(JSON.parse(Buffer.concat(this.#pieces).toString()) as Completion);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#take(error);
  }
}

function merge(answers: Completion[]): Buffer {
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  for (const answer of answers) {
    usage.prompt_tokens += answer.usage.prompt_tokens;
    usage.completion_tokens += answer.usage.completion_tokens;
    usage.total_tokens += answer.usage.total_tokens;
  }
  const choices = answers.flatMap((answer) => answer.choices).map((choice, index) => ({ ...choice, index }));
  return Buffer.from(JSON.stringify({ ...answers[0], choices, usage }));
}

function fanOut(asked: IncomingMessage, body: Buffer, response: ServerResponse): void {
  const answers: Completion[] = [];
  const take = (answer: Completion | Error): void => {
    if (answer instanceof Error) return fail(response, answer);
    if (answers.push(answer) < 3) return;
    const bytes = merge(answers);
    response.writeHead(200, ["content-type", "application/json", "content-length", String(bytes.length)]).end(bytes);
  };
  for (let leg = 0; leg < 3; leg += 1) pool.dispatch(question(asked, body), new Keep(take));
}

const server = createServer((asked, response) => {
  readBody(asked, (body) => {
    if (asked.url === "/fan3") fanOut(asked, body, response);
    else pool.dispatch(question(asked, body), new Relay(response));
  });
});

server.listen(Number(process.env["PORT"]), "127.0.0.1");

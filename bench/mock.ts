// The upstream: bare sockets and canned bytes, so that its own cost stays below that of what is measured.
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { fitting } from "../test/support/fitting.ts";
import { completions, streamEvents } from "./answers.ts";

const chunkEveryMs = 5;

function whole(json: string): Buffer {
  return Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n\r\n${json}`, "latin1");
}

const streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/** A stream as the writes that make it; each event is an HTTP chunk, the head leaves with the first. */
function frames(model: string, usage: boolean): Buffer[] {
  const framed = streamEvents(model, usage).map((event) => `${event.length.toString(16)}\r\n${event}\r\n`);
  return framed.map((text, index) => {
    const last = index === framed.length - 1 ? "0\r\n\r\n" : "";
    return Buffer.from((index === 0 ? streamHead : "") + text + last, "latin1");
  });
}

const models = whole('{"object":"list","data":[]}');
const plain = whole(completions.plain.json);
const big = whole(completions.big.json);
/** Members of ensembles, which differ: of answers that are all the same there is nothing to judge. */
const members: Readonly<Record<string, { whole: Buffer; streamed: Buffer }>> = Object.fromEntries(
  ["a", "b", "c"].map((name) => {
    const json = completions.plain.json.replace("The choir", `Of ${name}: the choir`);
    return [name, { whole: whole(json), streamed: streamedAtOnce(json) }];
  }),
);

/** A whole answer as a stream of one text chunk: what each further chunk costs is in the rows of streams. */
function streamedAtOnce(json: string): Buffer {
  const { choices, usage, ...head } = JSON.parse(json) as { choices: { message: { content: string } }[]; usage: unknown };
  const content = choices[0]?.message.content;
  const chunk = (fields: object): string => `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", ...fields })}\n\n`;
  const choice = (delta: object, reason: string | null): string => chunk({ choices: [{ index: 0, delta, finish_reason: reason }] });
  const events = [
    choice({ role: "assistant", content: "" }, null),
    choice({ content }, null),
    choice({}, "stop"),
    chunk({ choices: [], usage }),
    "data: [DONE]\n\n",
  ].join("");
  return Buffer.from(`${streamHead}${events.length.toString(16)}\r\n${events}\r\n0\r\n\r\n`, "latin1");
}

const paced = { bare: frames("paced", false), usage: frames("paced", true) };
const burst = {
  bare: Buffer.concat(frames("burst", false)),
  usage: Buffer.concat(frames("burst", true)),
};

/** Writes one frame of each stream every `chunkEveryMs`, the streams spread evenly over that time. */
class Pacer {
  readonly #slots = Array.from({ length: chunkEveryMs }, () => new Map<Socket, Iterator<Buffer>>());
  #started = 0;
  #clockMs = 0;
  #timer: NodeJS.Timeout | undefined;

  start(socket: Socket, stream: Buffer[]): void {
    const frames = stream.values();
    socket.write(frames.next().value ?? "");
    this.#started += 1;
    this.#slots[this.#started % chunkEveryMs]?.set(socket, frames);
    if (this.#timer !== undefined) return;
    this.#clockMs = Math.floor(performance.now());
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  #tick(): void {
    for (const nowMs = performance.now(); this.#clockMs < nowMs; this.#clockMs += 1) {
      const slot = this.#slots[this.#clockMs % chunkEveryMs];
      slot?.forEach((frames, socket) => {
        const frame = frames.next();
        if (frame.done === true || socket.destroyed) slot.delete(socket);
        else socket.write(frame.value);
      });
    }
    if (this.#slots.some((slot) => slot.size > 0)) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const pacer = new Pacer();
let served = 0;

/** Chat completions asked for since the start. */
export function servedSoFar(): number {
  return served;
}

/** What a judge says: anything that fits the schema. In ensembles alone, whose own cost is measured, not that of unread verdicts. */
function verdict(body: string): Buffer {
  const { model, response_format: format } = JSON.parse(body) as {
    model: string;
    response_format: { json_schema: { schema: unknown } };
  };
  const content = JSON.stringify(fitting(format.json_schema.schema, 0));
  return whole(
    JSON.stringify({
      id: "chatcmpl-Bench0000000000000000000000",
      object: "chat.completion",
      created: 1760000000,
      model,
      choices: [{ index: 0, message: { role: "assistant", content, refusal: null }, logprobs: null, finish_reason: "stop" }],
      usage: { prompt_tokens: 120, completion_tokens: 12, total_tokens: 132 },
    }),
  );
}

function answer(socket: Socket, head: string, body: string): void {
  if (!head.startsWith("POST ")) {
    socket.write(models);
    return;
  }
  served += 1;
  const model = /"model"\s*:\s*"(?:[^"]*\/)?([^"/]+)"/.exec(body)?.[1];
  if (body.includes('"json_schema"')) {
    socket.write(verdict(body));
    return;
  }
  if (!/"stream"\s*:\s*true/.test(body)) {
    socket.write(model === "big" ? big : (members[model ?? ""]?.whole ?? plain));
    return;
  }
  const member = members[model ?? ""];
  if (member !== undefined) {
    socket.write(member.streamed);
    return;
  }
  const kind = /"include_usage"\s*:\s*true/.test(body) ? "usage" : "bare";
  if (model === "paced") pacer.start(socket, paced[kind]);
  else socket.write(burst[kind]);
}

/** Answers every complete request in the text; returns what is left over. */
function serve(socket: Socket, text: string): string {
  let at = 0;
  for (;;) {
    const headEnd = text.indexOf("\r\n\r\n", at);
    if (headEnd === -1) return text.slice(at);
    const head = text.slice(at, headEnd);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (/\r\ntransfer-encoding:/i.test(head)) {
      socket.end("HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return "";
    }
    const bodyEnd = headEnd + 4 + length;
    if (text.length < bodyEnd) return text.slice(at);
    answer(socket, head, text.slice(headEnd + 4, bodyEnd));
    at = bodyEnd;
  }
}

/** Starts the upstream on a free port of loopback; resolves with the port. */
export function startMock(): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    let rest = "";
    socket.on("data", (bytes: Buffer) => {
      const text = bytes.toString("latin1");
      rest = serve(socket, rest === "" ? text : rest + text);
    });
    socket.on("error", () => socket.destroy());
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

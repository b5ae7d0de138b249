// The upstream: bare sockets and canned bytes, so that its own cost stays below that of what is measured.
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { completions, streamEvents } from "./answers.ts";

const chunkEveryMs = 5;

function whole(json: string): Buffer {
  return Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n\r\n${json}`, "latin1");
}

/** A stream as the writes that make it; each event is an HTTP chunk, the head leaves with the first. */
function frames(model: string, usage: boolean): Buffer[] {
  const framed = streamEvents(model, usage).map((event) => `${event.length.toString(16)}\r\n${event}\r\n`);
  const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
  return framed.map((text, index) => {
    const last = index === framed.length - 1 ? "0\r\n\r\n" : "";
    return Buffer.from((index === 0 ? head : "") + text + last, "latin1");
  });
}

const models = whole('{"object":"list","data":[]}');
const plain = whole(completions.plain.json);
const big = whole(completions.big.json);
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
/** Chat completions asked for since the start. */
let served = 0;

function answer(socket: Socket, head: string, body: string): void {
  if (!head.startsWith("POST ")) {
    socket.write(models);
    return;
  }
  served += 1;
  const model = /"model"\s*:\s*"(?:[^"]*\/)?([^"/]+)"/.exec(body)?.[1];
  if (!/"stream"\s*:\s*true/.test(body)) {
    socket.write(model === "big" ? big : plain);
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

const server = createServer({ noDelay: true }, (socket) => {
  let rest = "";
  socket.on("data", (bytes: Buffer) => {
    const text = bytes.toString("latin1");
    rest = serve(socket, rest === "" ? text : rest + text);
  });
  socket.on("error", () => socket.destroy());
});

server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("message", () => process.send?.(served));
process.on("disconnect", () => process.exit());

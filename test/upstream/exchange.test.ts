import { createServer, type AddressInfo, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/model/clock.ts";
import { openPools } from "../../src/upstream/pools.ts";
import { Exchange } from "../../src/upstream/post.ts";
import { answer, startUpstream, type Answer } from "../support/upstream.ts";

/** Longer than a test may take: what waits for a timer fails. */
const timeouts = { connectMs: 60_000, firstTokenMs: 60_000, idleMs: 60_000, totalMs: 60_000 };

/** An exchange with an upstream that answers so. */
async function asking(given: Answer): Promise<Exchange> {
  const upstream = await startUpstream({ one: answer(given) }, onTestFinished);
  return exchangeWith(upstream.url);
}

/** An upstream that sends the head of a stream when it is asked, and then bytes as they are. */
async function startRaw(): Promise<{ readonly url: string; send(bytes: string): void }> {
  let asker: Socket | undefined;
  const server = createServer((socket) => {
    asker = socket.on("error", () => {});
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    asker?.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, send: (bytes) => void asker?.write(bytes) };
}

function exchangeWith(url: string): Exchange {
  const pools = openPools();
  onTestFinished(() => pools.close());
  const body = Buffer.from('{"model":"one"}');
  const exchange = new Exchange({
    pool: pools.of(new URL(url).origin),
    method: "POST",
    path: `${new URL(url).pathname}/chat/completions`,
    headers: ["content-type", "application/json", "content-length", String(body.length)],
    body,
    timeouts,
    clock: systemClock,
    signal: new AbortController().signal,
    upstream: "up/one",
  });
  onTestFinished(() => exchange.close());
  return exchange;
}

describe("a body that is gathered", () => {
  test("is there when the head is told", async () => {
    const exchange = await asking({ writes: ["Four", 20, " and", 20, " five"] });
    expect(await exchange.head(() => true)).toMatchObject({ status: 200 });
    expect(exchange.takeBody()?.toString()).toBe("Four and five");
  });

  test("is not waited for where its head says no", async () => {
    const exchange = await asking({ writes: ["Four"], ending: "stall" });
    expect(await exchange.head(({ status }) => status !== 200)).toMatchObject({ status: 200 });
    expect(exchange.takeBody()).toBeUndefined();
  });

  test.for([
    ["many bytes", Array.from({ length: 3 }, () => "x".repeat(1024 * 1024))],
    ["many pieces", Array.from({ length: 300 }, () => "x")],
  ] as const)("is read as it comes where it has %s", async ([, writes]) => {
    const exchange = await asking({ writes: [...writes, 50], everyMs: writes.length > 100 ? 0 : 5, ending: "stall" });
    await exchange.head(() => true);
    expect(exchange.takeBody()).toBeUndefined();
    expect((await exchange.read())?.length).toBeGreaterThan(0);
  });
});

describe("a read", () => {
  test("brings all chunks of one read of the socket, also where it was waiting", async () => {
    const upstream = await startRaw();
    const exchange = exchangeWith(upstream.url);
    await exchange.head();
    const reading = exchange.read();
    upstream.send("3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n");
    expect((await reading)?.toString()).toBe("onetwothree");
    upstream.send("4\r\nfour\r\n0\r\n\r\n");
    expect((await exchange.read())?.toString()).toBe("four");
    expect(await exchange.read()).toBeUndefined();
  });
});

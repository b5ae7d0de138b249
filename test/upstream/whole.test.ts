import { expect, test } from "vitest";
import type { Exchange } from "../../src/upstream/post.ts";
import { readRefusal, readWhole, refusePage } from "../../src/upstream/whole.ts";

const piece = Buffer.alloc(1024 * 1024, "x");

/** An exchange that brings so many MiB. */
function bringing(mib: number): { readonly exchange: Exchange; readonly reads: () => number } {
  let reads = 0;
  const read = () => {
    reads += 1;
    return Promise.resolve(reads > mib ? undefined : piece);
  };
  return { exchange: { read, alive: () => {}, takeBody: () => undefined } as unknown as Exchange, reads: () => reads };
}

test("an answer of up to 64 MiB is read whole", async () => {
  expect(await readWhole(bringing(64).exchange, "up/a")).toHaveLength(64 * 1024 * 1024);
});

test("an answer without an end is left after 64 MiB, under the name of who sent it", async () => {
  const { exchange, reads } = bringing(Infinity);
  await expect(readWhole(exchange, "up/a")).rejects.toMatchObject({
    code: "upstream_protocol",
    message: "up/a sent an answer of more than 64 MiB.",
    details: { upstream: "up/a" },
  });
  expect(reads()).toBe(65);
});

test("of a refusal no more is read than an error needs", async () => {
  const { exchange, reads } = bringing(Infinity);
  expect(await readRefusal(exchange)).toBeUndefined();
  expect(reads()).toBe(1);
});

test("a page in place of an answer is told as such", () => {
  const page = { status: 200, headers: { "content-type": "text/html; charset=utf-8" } };
  expect(() => refusePage(page, "up/a")).toThrow("up/a sent an HTML page.");
  refusePage({ ...page, status: 503 }, "up/a");
  refusePage({ ...page, headers: {} }, "up/a");
});

/** What a cache tells requests apart by, for the sake of the servers below it. */
import { expect, onTestFinished, test } from "vitest";
import { answering, plain } from "../providers/anthropic/wire.ts";
import { startPair } from "../support/gateway.ts";
import { completionJson, json, type Script } from "../support/upstream.ts";

type Headers = Readonly<Record<string, string>>;

async function start(provider: Readonly<Record<string, unknown>>, script: Script = json(200, completionJson("It is 4."))) {
  const { gateway, upstream } = await startPair(
    { "*": script },
    { onFinished: onTestFinished, provider, config: { models: { inner: "up/m", kept: { kind: "cache", model: "inner" } } } },
  );
  /** How many calls of the server it took. */
  return async (...asked: readonly (readonly [body: Readonly<Record<string, unknown>>, headers?: Headers])[]) => {
    const before = upstream.requests.length;
    for (const [body, headers = {}] of asked) {
      expect((await gateway.chat({ model: "kept", ...body }, { headers })).status).toBe(200);
    }
    return upstream.requests.length - before;
  };
}

const runs = [[{ metadata: { run: "1" } }], [{ metadata: { run: "2" } }], [{}], [{ metadata: { run: "1" } }]] as const;

test("a server that nobody knows may go by all of `metadata`", async () => {
  const calls = await start({});
  expect(await calls(...runs)).toBe(3);
  expect(await calls([{ metadata: null }])).toBe(0);
});

test.for(["openai", "vllm", "mistral"])("%s takes `metadata` for a label, or does not take it", async (dialect) => {
  const calls = await start({ dialect });
  expect(await calls(...runs)).toBe(1);
});

test("leaves of the Messages API heed `anthropic-beta` and no metadata", async () => {
  const calls = await start({ kind: "anthropic" }, answering(plain));
  expect(await calls(...runs, [{}, { "x-run": "7" }])).toBe(1);
  expect(await calls([{}, { "anthropic-beta": "context-1m-2025-08-07" }])).toBe(1);
});

test("leaves of other APIs get no `anthropic-beta`", async () => {
  const calls = await start({});
  expect(await calls([{}], [{}, { "anthropic-beta": "context-1m-2025-08-07" }])).toBe(1);
});

import { expect, onTestFinished, test } from "vitest";
import { messages, quick, startPair } from "../../support/gateway.ts";
import { post } from "../../support/post.ts";
import { answer, completionJson, type Answer } from "../../support/upstream.ts";

const text = "la ".repeat(700_000);
const body = JSON.stringify(completionJson(text));
const headers = { "content-type": "application/json" };

/** What a client gets where the upstream answers so. */
async function asked(given: Answer, n?: number): Promise<{ readonly status: number; readonly body: Readonly<Record<string, unknown>> }> {
  const options = {
    onFinished: onTestFinished,
    provider: { timeouts: { ...quick, idleMs: 150 }, capabilities: { "*": { choices: "one" } } },
  };
  const { gateway } = await startPair({ one: answer({ headers, ...given }) }, options);
  const reply = await post(gateway, "/v1/chat/completions", { model: "up/one", messages, n });
  return { status: reply.status, body: (await reply.json()) as Readonly<Record<string, unknown>> };
}

const contents = (choices: unknown) =>
  (choices as readonly { readonly message: { readonly content: string } }[]).map(({ message }) => message.content);

test.for([
  ["in one piece", [body], undefined],
  ["in many pieces", [body], 10_007],
  ["slower than it would have to be as a whole", [body.slice(0, 99), 100, body.slice(99, 9999), 100, body.slice(9999)], undefined],
] as const)("an answer of two megabytes arrives whole, %s", async ([, writes, split]) => {
  const { status, body } = await asked({ writes, ...(split === undefined ? {} : { split }) });
  expect(status).toBe(200);
  expect(contents(body["choices"])).toEqual([text]);
});

test("several answers of a server that makes one at a time arrive together", async () => {
  const { body: answered } = await asked({ writes: [JSON.stringify(completionJson("Four."))] }, 3);
  expect(contents(answered["choices"])).toEqual(["Four.", "Four.", "Four."]);
  expect(answered["usage"]).toMatchObject({ prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 });
});

test.for([
  ["cut", 502, "upstream_unreachable", "closed the connection in the middle of its answer"],
  ["reset", 502, "upstream_unreachable", "closed the connection in the middle of its answer"],
  ["stall", 504, "upstream_timeout", "was silent for 150 ms"],
] as const)("an answer that comes to a %s is none", async ([ending, status, code, message]) => {
  for (const bytes of [9, 1_500_000]) {
    const told = await asked({ writes: [body.slice(0, bytes)], ending });
    expect(told).toMatchObject({ status, body: { error: { code, message: expect.stringContaining(message) as string } } });
  }
});

test("an answer of more than 64 MiB is refused, and its connection closed", async () => {
  const mebibyte = "la ".repeat(349_526).slice(0, 1024 * 1024);
  const told = await asked({ writes: [body.slice(0, 300), ...Array.from({ length: 66 }, () => mebibyte)], ending: "stall" });
  expect(told).toMatchObject({ status: 502, body: { error: { message: expect.stringContaining("more than 64 MiB") as string } } });
});

test.for([
  ["a page", { "content-type": "text/html" }, "an HTML page"],
  ["encoded", { "content-type": "application/json", "content-encoding": "gzip" }, "encoded as gzip"],
] as const)("what is refused by its head is refused before its body has come: %s", async ([, given, message]) => {
  const told = await asked({ headers: given, writes: ["<html>"], ending: "stall" });
  expect(told).toMatchObject({
    status: 502,
    body: { error: { code: "upstream_protocol", message: expect.stringContaining(message) as string } },
  });
});

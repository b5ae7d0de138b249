import { expect, onTestFinished, test } from "vitest";
import { events, startPair, upstreamKey } from "../../support/gateway.ts";
import { accumulate, validateError, validateStream } from "../../support/stream-validator.ts";
import { answer, json, type Scripts, type Write } from "../../support/upstream.ts";
import { event, exception } from "./frames.ts";

const start = (scripts: Scripts) =>
  startPair(scripts, { onFinished: onTestFinished, provider: { kind: "bedrock", region: "eu-central-1" } });

const stream = (writes: readonly Write[], split?: number) =>
  answer({ writes, headers: { "content-type": "application/vnd.amazon.eventstream" }, ...(split === undefined ? {} : { split }) });

const text = (told: string) => event("contentBlockDelta", { contentBlockIndex: 0, delta: { text: told } });
const usage = { inputTokens: 7, outputTokens: 3, totalTokens: 10 };

test("A-BED-01 a stream passes every check of a stream, its usage with it", async () => {
  const frames = [
    event("messageStart", { role: "assistant" }),
    text("I look. é😀"),
    event("contentBlockStart", { contentBlockIndex: 1, start: { toolUse: { toolUseId: "t1", name: "add" } } }),
    event("contentBlockDelta", { contentBlockIndex: 1, delta: { toolUse: { input: '{"a":2}' } } }),
    event("contentBlockStop", { contentBlockIndex: 1 }),
    event("messageStop", { stopReason: "tool_use" }),
    event("metadata", { usage }),
  ];
  const { gateway } = await start({ s: stream(frames, 5) });
  const told = await (await gateway.chat({ model: "up/s", stream: true, stream_options: { include_usage: true } })).text();
  expect(validateStream(told, { usage: true })).toEqual([]);
  expect(accumulate(told).choices[0]).toMatchObject({
    finish_reason: "tool_calls",
    message: { content: "I look. é😀", tool_calls: [{ id: "t1", function: { name: "add", arguments: '{"a":2}' } }] },
  });
  expect(told).toContain('"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10');
});

test("A-BED-03 an exception in a stream is an error frame, one before it a status", async () => {
  const slow = exception("throttlingException", "slow down");
  const { gateway, upstream } = await start({
    late: stream([event("messageStart", { role: "assistant" }), text("a"), 5, slow]),
    early: stream([slow]),
    head: json(429, { message: "slow down" }, { "x-amzn-errortype": "ThrottlingException", "retry-after": "3" }),
  });
  const late = await (await gateway.chat({ model: "up/late", stream: true })).text();
  expect(validateStream(late, { usage: false, end: "error" })).toEqual([]);
  expect(events(late).at(-1)).toMatchObject({ error: { code: "rate_limit_exceeded", message: "slow down" } });
  for (const name of ["early", "head"]) {
    const refused = await gateway.chat({ model: `up/${name}`, stream: true });
    expect([refused.status, validateError(await refused.json(), refused.headers, [upstreamKey, String(upstream.port)])]).toEqual([429, []]);
  }
});

test("independent runs stand in for n", async () => {
  const whole = json(200, { output: { message: { content: [{ text: "4" }] } }, stopReason: "end_turn", usage });
  const { gateway, upstream } = await start({ s: whole });
  const body = (await (await gateway.chat({ model: "up/s", n: 2 })).json()) as { choices: readonly { index: number }[]; usage: object };
  expect(body.choices.map(({ index }) => index)).toEqual([0, 1]);
  expect(body.usage).toMatchObject({ prompt_tokens: 14, completion_tokens: 6 });
  expect(upstream.requests).toHaveLength(2);
});

import { expect, onTestFinished, test } from "vitest";
import { startPair } from "../support/gateway.ts";
import { chunkStream, completionJson, json, sse } from "../support/upstream.ts";
import { readUsage as readAnthropic } from "../../src/providers/anthropic/usage.ts";
import { readUsage as readBedrock } from "../../src/providers/bedrock/answer.ts";
import { readUsage as readGemini } from "../../src/providers/gemini/usage.ts";
import { readUsage as readOpenAi } from "../../src/providers/openai/usage.ts";

const huge = { prompt_tokens: -5, completion_tokens: 1e308, total_tokens: 1e308 };

test.each([false, true])("no usage of an upstream locks a key or its budget (stream: %s)", async (stream) => {
  const { gateway } = await startPair(
    { a: stream ? sse(chunkStream(["4", "2"], { usage: huge })) : json(200, completionJson("42", { usage: huge })) },
    {
      onFinished: onTestFinished,
      provider: { prices: { a: { in: 1, out: 1 } } },
      config: { keys: [{ name: "team-a", key: "sk-chorale-client-0123456789", budget: { usd: 1, per: "day" } }] },
    },
  );
  const statuses: number[] = [];
  for (let i = 0; i < 4; i += 1) {
    const response = await gateway.chat({ stream });
    const text = await response.text();
    const cost = stream ? /cost-usd=(\S+)/.exec(text)?.[1] : response.headers.get("x-chorale-cost-usd");
    expect(Number(cost)).toBeGreaterThan(0);
    expect(Number(cost)).toBeLessThan(0.01);
    statuses.push(response.status);
  }
  expect(statuses).toEqual([200, 200, 200, 200]);
});

test("a count that no answer has is none, in every dialect", () => {
  for (const bad of [-5, 1e308, Infinity, NaN, 0.5, 1e9 + 1, "7", null]) {
    expect(readOpenAi({ prompt_tokens: bad, completion_tokens: bad, total_tokens: bad })).toBeUndefined();
    expect(readAnthropic({ input_tokens: bad, output_tokens: bad })).toBeUndefined();
    expect(readGemini({ promptTokenCount: bad, candidatesTokenCount: bad })).toBeUndefined();
    expect(readBedrock({ inputTokens: bad, outputTokens: bad })).toBeUndefined();
  }
  const counted = { promptTokens: 7, completionTokens: 3 };
  expect(readOpenAi({ prompt_tokens: 7, completion_tokens: 3 })).toEqual(counted);
  expect(readAnthropic({ input_tokens: 7, output_tokens: 3 })).toEqual(counted);
  expect(readGemini({ promptTokenCount: 7, candidatesTokenCount: 3 })).toEqual(counted);
  expect(readBedrock({ inputTokens: 7, outputTokens: 3 })).toEqual(counted);
});

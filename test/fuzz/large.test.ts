import { expect, onTestFinished, test } from "vitest";
import { startFuzzed, translated } from "./routes.ts";

test("ten megabytes of tools arrive as they are, or are refused by name", async () => {
  const fuzzed = await startFuzzed(onTestFinished);
  const { upstream } = fuzzed;
  const tools = (count: number) =>
    Array.from({ length: count }, (_, index) => {
      const description = `é${index}`.padEnd(80_000, "x");
      return { type: "function", function: { name: `f${index}`, description, parameters: { type: "object" } } };
    });
  const bodyOf = (model: string, count: number) =>
    Buffer.from(JSON.stringify({ model, messages: [{ role: "user", content: "What is 2+2?" }], tools: tools(count) }));
  for (const model of ["up/a", "asked"]) {
    const before = upstream.requests.length;
    expect((await fuzzed.post("/v1/chat/completions", bodyOf(model, 128))).status).toBe(200);
    const [sent] = upstream.requests.slice(before);
    expect(sent?.body.length).toBeGreaterThan(10_000_000);
    expect(sent?.body.equals(bodyOf("a", 128))).toBe(true);
  }
  const refused = await fuzzed.post("/v1/chat/completions", bodyOf("up/a", 129));
  expect([refused.status, JSON.parse(refused.text)]).toMatchObject([400, { error: { param: "tools" } }]);
  for (const model of translated) expect((await fuzzed.post("/v1/chat/completions", bodyOf(model, 128))).status).toBe(200);
});

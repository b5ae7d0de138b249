import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { engineAvailable, type Llama, startLlama } from "../../engines/llama.ts";

// Without the engine nothing is run here, except in CI, where its absence is a failure.
const describeEngine = describe.skipIf(!engineAvailable() && !process.env["CI"]);

describeEngine("the llama server", () => {
  let llama: Llama;
  beforeAll(async () => {
    llama = await startLlama();
  }, 60_000);
  afterAll(() => llama?.close());

  const question = {
    messages: [{ role: "user", content: "What is 2+2?" }],
    temperature: 0,
    max_tokens: 32,
  };

  const complete = (body: object) =>
    fetch(`${llama.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: llama.model, ...body }),
    });

  test("is healthy", async () => {
    const response = await fetch(`${llama.url}/health`);
    expect(await response.json()).toEqual({ status: "ok" });
  });

  test("answers whole at temperature 0", async () => {
    const completion = await (await complete(question)).json();
    expect(completion).toMatchObject({
      object: "chat.completion",
      model: "smollm2",
      choices: [
        {
          index: 0,
          finish_reason: "stop",
          message: { role: "assistant", content: expect.stringContaining("4") },
        },
      ],
    });
  });

  test("streams the text of the whole answer, and its usage last", async () => {
    const whole = (await (await complete(question)).json()) as {
      choices: { message: { content: string } }[];
      usage: { completion_tokens: number };
    };
    const response = await complete({
      ...question,
      stream: true,
      stream_options: { include_usage: true },
    });
    const payloads = (await response.text()).split("\n").filter((line) => line.startsWith("data: "));
    expect(payloads.pop()).toBe("data: [DONE]");
    const chunks = payloads.map((line) => JSON.parse(line.slice("data: ".length)));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toBe(whole.choices[0]?.message.content);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: whole.usage.completion_tokens },
    });
  });

  test("serves four requests of 2048 tokens at once", async () => {
    const slots = (await (await fetch(`${llama.url}/slots`)).json()) as { n_ctx: number }[];
    expect(slots.map((slot) => slot.n_ctx)).toEqual([2048, 2048, 2048, 2048]);
  });
});

describeEngine("the end of the llama server", () => {
  test("close() returns once nobody listens any more, and may be called again", async () => {
    const llama = await startLlama();
    expect(await listens(llama.url)).toBe(true);
    await llama.close();
    expect(await listens(llama.url)).toBe(false);
    await llama.close();
  }, 60_000);

  test("comes with the end of its parent, even by kill -9", async () => {
    const source = `
      import { startLlama } from ${JSON.stringify(new URL("../../engines/llama.ts", import.meta.url).href)};
      console.log((await startLlama()).url);`;
    const parent = spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void parent.kill("SIGKILL"));
    const [url] = (await once(createInterface(parent.stdout), "line")) as [string];
    expect(await listens(url)).toBe(true);
    parent.kill("SIGKILL");
    await expect.poll(() => listens(url), { timeout: 5_000 }).toBe(false);
  }, 60_000);
});

async function listens(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false;
  }
}

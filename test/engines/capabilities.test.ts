import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engineAvailable, type Llama, startLlama } from "../../engines/llama.ts";
import { type Running, serve } from "../../src/serve.ts";

// Without the engine nothing is run here, except in CI, where its absence is a failure.
const describeEngine = describe.skipIf(!engineAvailable() && !process.env["CI"]);

describeEngine("what llama.cpp tells of its model", () => {
  let llama: Llama;
  let gateway: Running;
  const folder = mkdtempSync(join(tmpdir(), "chorale-capabilities-"));

  beforeAll(async () => {
    llama = await startLlama({ threads: 1 });
    const config = join(folder, "chorale.yaml");
    const local = { kind: "openai", dialect: "llama.cpp", baseUrl: `${llama.url}/v1`, models: [llama.model] };
    writeFileSync(config, JSON.stringify({ server: { port: 0 }, store: { kind: "memory" }, providers: { local } }));
    gateway = await serve({ env: {}, config, probe: async () => undefined, logTo: { write: () => {} } });
    await gateway.probed;
  }, 60_000);

  afterAll(async () => {
    await gateway.close();
    await llama.close();
    rmSync(folder, { recursive: true });
  });

  const ask = async (url: string, model: string, content: unknown) => {
    const body = JSON.stringify({ model, messages: [{ role: "user", content }], max_tokens: 1 });
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" }, body });
    return { status: response.status, body: await response.json() };
  };

  test("stands in the list of models", async () => {
    const { context_length: length, chorale } = (await (await fetch(`${gateway.url}/v1/models/local/${llama.model}`)).json()) as {
      readonly context_length: number;
      readonly chorale: { readonly capabilities: object };
    };
    const slots = (await (await fetch(`${llama.url}/slots`)).json()) as readonly { readonly n_ctx: number }[];
    expect(length).toBe(slots[0]?.n_ctx);
    expect(chorale.capabilities).toMatchObject({ images: false, audio: false });
  });

  test("is refused as the engine refuses it", async () => {
    const long = "Sing, o goddess, of the anger of Achilles, son of Peleus. ".repeat(400);
    expect(await ask(gateway.url, `local/${llama.model}`, long)).toMatchObject({
      status: 400,
      body: { error: { code: "context_length_exceeded", param: "messages" } },
    });
    expect(await ask(llama.url, llama.model, long)).toMatchObject({ status: 400, body: { error: { type: "exceed_context_size_error" } } });
    const image = [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }];
    expect((await ask(gateway.url, `local/${llama.model}`, image)).status).toBe(400);
    expect((await ask(llama.url, llama.model, image)).status).toBeGreaterThanOrEqual(400);
    expect((await ask(gateway.url, `local/${llama.model}`, "hi")).status).toBe(200);
  });
});

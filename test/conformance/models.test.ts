import { expect, onTestFinished, test } from "vitest";
import { startPair } from "../support/gateway.ts";
import { validateError } from "../support/stream-validator.ts";
import { completionJson, json } from "../support/upstream.ts";

const start = () =>
  startPair(
    { "model-1": json(200, completionJson("4")) },
    {
      onFinished: onTestFinished,
      config: {
        providers: { org: { kind: "openai", baseUrl: "http://127.0.0.1:9/v1", models: ["model-1", "model-2"] } },
        models: { small: "org/model-1", exam: { kind: "vote", members: ["org/model-1", "org/model-2", "org/model-1"] } },
      },
    },
  );

test("A-MOD-01 the list is an OpenAI list, with each model once, in one request", async () => {
  const { gateway } = await start();
  const list = (await (await gateway.get("/v1/models")).json()) as { object: string; data: Record<string, unknown>[] };
  expect(list.object).toBe("list");
  for (const { id, object, created, owned_by } of list.data)
    expect([typeof id, object, Number.isInteger(created), typeof owned_by]).toEqual(["string", "model", true, "string"]);
  const ids = list.data.map(({ id }) => id);
  expect(ids).toEqual(expect.arrayContaining(["small", "exam", "org/model-1", "org/model-2"]));
  expect(new Set(ids).size).toBe(ids.length);
  const iterated: string[] = [];
  for await (const { id } of gateway.client().models.list()) iterated.push(id);
  expect(iterated).toEqual(ids);
});

test("A-MOD-02 a model with a slash is found, encoded or not", async () => {
  const { gateway } = await start();
  expect(await gateway.client().models.retrieve("org/model-1")).toMatchObject({ id: "org/model-1", object: "model", owned_by: "org" });
  const plain = await gateway.get("/v1/models/org/model-1");
  expect([plain.status, ((await plain.json()) as { id: string }).id]).toEqual([200, "org/model-1"]);
});

test("A-MOD-03 an unknown model is 404", async () => {
  const { gateway } = await start();
  for (const path of ["/v1/models/nobody", "/v1/models/org%2Fmodel-9", "/v1/models/__proto__", "/v1/models/constructor"]) {
    const response = await gateway.get(path);
    const text = await response.text();
    expect([path, response.status]).toEqual([path, 404]);
    expect(validateError(text, response.headers)).toEqual([]);
    expect((JSON.parse(text) as { error: { code: string } }).error.code).toBe("model_not_found");
  }
});

test("an unknown model's 404 names the nearest that the key may use", async () => {
  const { gateway } = await start();
  for (const answer of [await gateway.get("/v1/models/exma"), await gateway.chat({ model: "exma" })]) {
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({
      error: { param: "model", message: expect.stringContaining("Did you mean 'exam'?") as unknown },
    });
  }
});

test.each(["..", ".", "../../admin?x=1#", "a/../b", "a/.", "..?x", "..\\b", "a\u0007", "a\u0085", "a\ud800"])(
  "no model is called up/%j, and nobody is asked",
  async (name) => {
    const { gateway, upstream } = await startPair({ "*": json(200, completionJson("4")) }, { onFinished: onTestFinished });
    const response = await gateway.chat({ model: `up/${name}` });
    const text = await response.text();
    expect([response.status, (JSON.parse(text) as { error: { code: string } }).error.code]).toEqual([404, "model_not_found"]);
    expect(validateError(text, response.headers)).toEqual([]);
    expect(upstream.requests).toHaveLength(0);
    for (const fine of ["a.b", "...", "a..b", "org/model-1.5:free", "é"])
      expect((await gateway.chat({ model: `up/${fine}` })).status).toBe(200);
  },
);

test("a key sees and uses its own models alone", async () => {
  const key = "sk-chorale-narrow-0123456789";
  const { gateway } = await startPair(
    { a: json(200, completionJson("4")) },
    {
      onFinished: onTestFinished,
      provider: { models: ["a", "b"] },
      config: { keys: [{ name: "narrow", key, models: ["up/a"] }] },
    },
  );
  const headers = { authorization: `Bearer ${key}` };
  const list = (await (await gateway.get("/v1/models", { headers })).json()) as { data: { id: string }[] };
  expect(list.data.map(({ id }) => id)).toEqual(["up/a"]);
  expect((await gateway.get("/v1/models/up/b", { headers })).status).toBe(404);
  expect((await gateway.chat({ model: "up/b" }, { headers })).status).toBe(404);
  expect((await gateway.chat({ model: "up/a" }, { headers })).status).toBe(200);
});

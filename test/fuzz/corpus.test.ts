import { readdirSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { modelsOf, routes, simulated, startFuzzed, translated } from "./routes.ts";

const folder = new URL("corpus/", import.meta.url);
const files = readdirSync(folder);

/** The bytes of a file for a model; what they say of themselves stays as it is. */
function bodyFor(file: string, model: string): Buffer {
  return Buffer.from(readFileSync(new URL(file, folder), "latin1").replaceAll("$model", model), "latin1");
}

const fuzzed = await startFuzzed(afterAll);

describe.each(routes)("%s", (route) => {
  test("answers each body of the corpus, or refuses it", async () => {
    expect(files.length).toBeGreaterThan(50);
    const models = route === "/v1/chat/completions" ? [...simulated, ...translated] : modelsOf(route).slice(0, 2);
    for (const file of files) {
      const posts = models.map(async (model) => {
        try {
          await fuzzed.post(route, bodyFor(file, model));
        } catch (thrown) {
          throw new Error(`${file} for ${model}`, { cause: thrown });
        }
      });
      await Promise.all(posts);
    }
  });
});

/** Fields of which the gateway sends something else, and names that are no model's. */
const rewritten = /"(?:chorale|stream|seed|n|max_completion_tokens)":|"model":"[^"]*\\/;

test("what is forwarded of the corpus is forwarded byte for byte, by a leaf and by every member of a panel", async () => {
  const { upstream } = fuzzed;
  let forwarded = 0;
  for (const file of files.filter((file) => !rewritten.test(bodyFor(file, "").toString("latin1")))) {
    for (const model of ["up/a", "asked"]) {
      const before = upstream.requests.length;
      const { status } = await fuzzed.post("/v1/chat/completions", bodyFor(file, model));
      // An answer that breaks the schema is sent once more, to be repaired.
      if (status === 502) continue;
      const sent = upstream.requests.slice(before);
      expect(sent.length > 0, file).toBe(status === 200);
      forwarded += sent.length;
      for (const { body, model: asked } of sent) expect(body.toString("latin1"), file).toBe(bodyFor(file, asked ?? "").toString("latin1"));
    }
  }
  expect(forwarded).toBeGreaterThan(40);
});

test.each([0, 1, 2])("arguments go to each other API to the byte, and schemas with their own digits: %s", async (at) => {
  const sent = async (file: string) => {
    await fuzzed.post("/v1/chat/completions", bodyFor(file, translated[at] ?? ""));
    return fuzzed.natives[at]?.requests.at(-1)?.body.toString() ?? "";
  };
  expect(await sent("arguments.json")).toContain('{"z": 12345678901234567890,"a":  1e2,\n"__proto__": {"x": 0.10}, "z2":');
  expect(await sent("tool-schema-digits.json")).toContain("9007199254740993");
});

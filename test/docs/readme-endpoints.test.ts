import { expect, onTestFinished, test } from "vitest";
import { serve } from "../../src/serve.ts";
import { page } from "./blocks.ts";

const [, section = ""] = page("README.md").split(/^## Endpoints\n/m);
const text = section.slice(0, section.indexOf("\n## "));

/** A command of the page, and what was printed below it. */
const shown = [
  ...text.matchAll(
    /^\$ curl -s http:\/\/localhost:8080(\S+) -H 'content-type: application\/json' \\\n +-d '(.*?)' \| jq.*\n((?:[^`\n].*\n)+)/gm,
  ),
].map(([, path = "", body = "", printed = ""]) => ({ path, body, printed: printed.trim().split("\n") }));

test("the endpoints of the README answer the demo as they are shown", async () => {
  const gateway = await serve({ env: { PORT: "0", LOG_LEVEL: "silent" }, probe: async () => undefined });
  onTestFinished(() => gateway.close());
  const listed = [...text.matchAll(/^\| `POST (\S+)`/gm)].map(([, path]) => path);
  expect(listed.length).toBeGreaterThan(6);
  expect(shown.map(({ path }) => path)).toEqual(listed);
  for (const { path, body, printed } of shown) {
    const response = await fetch(gateway.url + path, { method: "POST", headers: { "content-type": "application/json" }, body });
    const answer = await response.text();
    expect([path, response.status]).toEqual([path, path === "/v1/moderations" ? 404 : 200]);
    // What jq made of lists is not looked for.
    for (const line of printed.filter((line) => !line.startsWith("["))) expect(answer).toContain(line);
  }
});

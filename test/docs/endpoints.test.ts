import { expect, test } from "vitest";
import { stringify } from "yaml";
import { dialects } from "../../src/providers/openai/dialects.ts";
import { providers } from "../../src/providers/registry.ts";
import { build, page } from "./blocks.ts";

const text = page("docs/endpoints.md");

/** The cells of each row of the table of servers, by server. */
const rows = new Map(
  [...text.matchAll(/^\| ((?:`[\w.-]+`(?:, )?)+) +\|(( *(?:through|translated|no|as chats)(?: \\\*)? *\|){4})$/gm)].flatMap(
    ([, names = "", cells = ""]) => {
      const row = cells
        .split("|")
        .slice(0, 4)
        .map((cell) => cell.trim());
      return names
        .trim()
        .split(", ")
        .map((name) => [name.replaceAll("`", ""), row] as const);
    },
  ),
);

const kinds = [...providers.keys()].filter((kind) => kind !== "openai" && kind !== "replay");

test("every server is in the table, with the endpoints that it has", async () => {
  const at = { baseUrl: "http://127.0.0.1:9/v1", apiKey: "x" };
  const config = {
    ...Object.fromEntries(Object.keys(dialects).map((dialect) => [dialect, { kind: "openai", dialect, ...at }])),
    anthropic: { kind: "anthropic", apiKey: "x" },
    gemini: { kind: "gemini", apiKey: "x" },
    bedrock: { kind: "bedrock", region: "us-east-1", accessKeyId: "x", secretAccessKey: "x" },
    demo: { kind: "demo" },
  };
  expect([...rows.keys()].toSorted()).toEqual([...Object.keys(dialects), ...kinds].toSorted());
  const { catalog } = await build(stringify({ providers: config }));
  for (const [server, row] of rows) {
    const entry = catalog.get(server === "demo" ? "demo/alto" : `${server}/any`);
    const instruct = catalog.get(`${server}/gpt-3.5-turbo-instruct`);
    const star = instruct?.passage?.("completions") ? " \\*" : "";
    expect([server, ...row]).toEqual([
      server,
      entry?.passage?.("completions") ? "through" : `as chats${star}`,
      entry?.passage?.("embeddings") ? "through" : entry?.embedder?.() ? "translated" : "no",
      entry?.passage?.("rerank") ? "through" : entry?.reranker?.() ? "translated" : "no",
      entry?.passage?.("moderations") ? "through" : "no",
    ]);
  }
});

test("the page names every field that a server takes and does not heed", () => {
  for (const { unread = [] } of Object.values(dialects) as { unread?: readonly string[] }[])
    for (const field of unread) expect(text).toContain(`\`${field}\``);
});

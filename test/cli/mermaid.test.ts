import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { mermaid } from "../../src/cli/mermaid.ts";
import { run } from "../../src/cli/run.ts";

test("labels keep what Mermaid would read as its own", () => {
  const boxes = [{ name: "end", title: 'a "b" <#1>', decides: false }];
  expect(mermaid({ boxes, arrows: [] })).toMatchInlineSnapshot(`
    "
    \`\`\`mermaid
    flowchart LR
      n1["end: a #quot;b#quot; #lt;#35;1>"]
    \`\`\`"
  `);
});

test("chorale check draws each graph once, under its own name or where it stands", async () => {
  const folder = mkdtempSync(join(tmpdir(), "chorale-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "chorale.yaml");
  writeFileSync(
    path,
    `
providers: {demo: {kind: demo}}
models:
  team:
    kind: graph
    nodes:
      plan: {model: demo/alto}
      draft: {model: demo/tenor, inputs: [plan]}
      check: {model: demo/bass, inputs: [draft], verify: draft}
      final: {model: demo/alto, inputs: [draft]}
  both:
    kind: fallback
    members: [team, {kind: graph, nodes: {one: {model: demo/alto}, two: {model: demo/bass, inputs: [one]}}}]
`,
  );
  const out: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: () => {}, serve: async () => 0, probe: () => Promise.resolve(undefined) };
  expect(await run(["check", "--config", path], {}, io)).toBe(0);
  const printed = out.join("");
  expect(printed.match(/```mermaid/g)).toHaveLength(2);
  expect(printed.slice(printed.indexOf("team (graph)"), printed.indexOf("both (fallback)"))).toMatchInlineSnapshot(`
    "team (graph)
      calls 4..8, depth 8, streams demo/alto, worst price x8, with tools: single model demo/alto
      ├─ plan: demo/alto
      ├─ draft: demo/tenor
      ├─ check, may send back to draft: demo/bass
      └─ final: demo/alto

    \`\`\`mermaid
    flowchart LR
      n1["plan: demo/alto"]
      n2["draft: demo/tenor"]
      n3{{"check: demo/bass"}}
      n4["final: demo/alto"]
      n1 --> n2
      n2 --> n3
      n3 -. back .-> n2
      n2 --> n4
      n3 -. pass .-> n4
    \`\`\`

    "
  `);
  expect(printed.slice(printed.indexOf("both (fallback)"))).toContain('n1["one: demo/alto"]\n  n2["two: demo/bass"]\n  n1 --> n2\n```');
});

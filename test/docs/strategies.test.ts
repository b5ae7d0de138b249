import { describe, expect, onTestFinished, test } from "vitest";
import type { Plan } from "../../src/model/plan.ts";
import { mermaid } from "../../src/cli/mermaid.ts";
import { strategies } from "../../src/strategies/registry.ts";
import { expectAnswers } from "./answering.ts";
import { build, configOf, page, yamlBlocks } from "./blocks.ts";

const text = page("docs/strategies.md");

/** The sections of the two levels, by their headings. */
function sectionsOf(level: string): ReadonlyMap<string, string> {
  const [, body = ""] = text.split(`\n## ${level}\n`);
  const [own = ""] = body.split(/^## /m);
  const parts = own.split(/^### /m).slice(1);
  return new Map(parts.map((part) => [part.slice(0, part.indexOf("\n")), part]));
}

const levels = { api: sectionsOf("API level"), text: sectionsOf("Text level") } as const;
const sections = new Map([...levels.api, ...levels.text]);

test.each(["api", "text"] as const)("docs/strategies.md has a section for each kind of the %s level, and for nothing else", (level) => {
  const kinds = [...strategies.values()].filter((strategy) => strategy.level === level).map(({ kind }) => kind);
  expect(kinds.length).toBeGreaterThan(5);
  expect([...levels[level].keys()].toSorted()).toEqual(kinds.toSorted());
});

/** A plan as the page tells it. */
function rowOf(name: string, { calls: [best, worst], depth, tail, tools }: Plan): readonly string[] {
  const calls = best === worst ? String(best) : `${best}..${worst}`;
  return [`\`${name}\``, calls, String(depth), tail === "none" ? "nothing" : tail, tools ?? "as any other"];
}

/** The rows of the table with the plans. */
function rowsOf(section: string): readonly (readonly string[])[] {
  const [, body = ""] = section.split(/^\| model +\| calls .*\n\| -.*\n/m);
  const lines = body.slice(0, body.indexOf("\n\n")).split("\n");
  return lines.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe.each([...sections])("%s", (kind, section) => {
  const [yaml = "", ...others] = yamlBlocks(section);

  test("has one config, with this kind in it, of which nothing has to be warned", async () => {
    expect(others).toEqual([]);
    const { catalog, warnings } = await build(yaml);
    expect(catalog.list().map((entry) => entry.kind)).toContain(kind);
    expect(warnings).toEqual([]);
  });

  test("tells the calls, the depth, what streams and who has the tools as they are planned", async () => {
    const { catalog } = await build(yaml);
    const planned = catalog.list().filter(({ virtual }) => virtual);
    expect(rowsOf(section)).toEqual(planned.map(({ name, plan }) => rowOf(name, plan)));
  });

  test("has a config that answers, whole and streamed", async () => {
    expect(await expectAnswers(configOf(yaml), onTestFinished)).toBeGreaterThan(0);
  });

  test("says when it pays and what happens when something fails", () => {
    expect(section).toMatch(/^- \*\*Pays\*\*/m);
    expect(section).toMatch(/^- \*\*When (it|something) fails\*\*/m);
  });

  test("names the papers that the source names", () => {
    const folder = levels.api.has(kind) ? "api" : "text";
    const ids = page(`src/strategies/${folder}/${kind}.ts`).match(/\b\d{4}\.\d{5}\b/g) ?? [];
    expect(ids.filter((id) => !section.includes(id))).toEqual([]);
  });
});

test.each([...levels.text])("%s says where it comes from, or that there is no paper", (_, section) => {
  expect(section).toMatch(/^- \*\*Source\*\*: [^]*(\d{4}\.\d{5}|not a paper)/m);
});

test("the drawing of the graph is the one that check prints", async () => {
  const section = sections.get("graph") ?? "";
  const { catalog } = await build(yamlBlocks(section)[0] ?? "");
  const drawing = catalog.get("team")?.plan.drawing;
  expect(drawing && section.includes(mermaid(drawing).trim())).toBe(true);
});

test("the guide leads to every kind, and only to kinds", () => {
  const [, guide = ""] = text.split("## Which kind for what");
  const [table = ""] = guide.split("## API level");
  const named = [...table.matchAll(/\[`([a-z-]+)`\]\(#([a-z-]+)\)/g)].map(([, name = "", anchor = ""]) => ({ name, anchor }));
  expect(named.filter(({ name, anchor }) => name !== anchor)).toEqual([]);
  expect([...new Set(named.map(({ name }) => name))].toSorted()).toEqual([...strategies.keys()].toSorted());
});

import { existsSync, globSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { page, root } from "./blocks.ts";

const pages = [...globSync("*.md", { cwd: root }), ...globSync("docs/*.md", { cwd: root }), "src/README.md"];

const withoutCode = (text: string) => text.replaceAll(/^```.*?^```$/gms, "");

/** The anchors of a page's headings, as they are made where Markdown is shown. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

test.each(pages)("the links of %s lead somewhere", (path) => {
  const links = [...withoutCode(page(path)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  const broken = links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [file = "", anchor] = link.split("#");
    const target = file === "" ? path : join(dirname(path), file);
    if (!existsSync(root + target)) return true;
    return anchor !== undefined && statSync(root + target).isFile() && !anchorsOf(page(target)).has(anchor);
  });
  expect(broken).toEqual([]);
});

test("there are pages to look at", () => {
  expect(pages).toEqual(expect.arrayContaining(["README.md", "CONTRIBUTING.md", "docs/config.md", "docs/strategies.md"]));
});

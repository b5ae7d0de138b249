import { importItems } from "../learn/import-history.ts";
import { readItems } from "../learn/import-items.ts";
import { toLines } from "../learn/json-lines.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./usage-error.ts";
import { fromOf, neededText, readText, textOption } from "./learn-material.ts";
import { writeTo } from "./learn-report.ts";

/** As the config names providers. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export const learnImport: Command = {
  name: "learn import",
  summary: "Graded answers from elsewhere as a history.",
  options: { from: { type: "string", multiple: true }, out: { type: "string" }, provider: { type: "string" } },
  async run(site) {
    const out = neededText(site, "out");
    const provider = textOption(site, "provider") ?? "recorded";
    if (!NAME.test(provider)) throw new UsageError("learn: `--provider` is a provider's name: letters, digits, dot, dash and underscore");
    const items = fromOf(site).flatMap((path) => readItems(readText(path), path));
    const { legs, grades } = importItems(items, provider);
    const gradesOut = `${out.replace(/\.jsonl$/, "")}.grades.jsonl`;
    writeTo(out, toLines(legs), { anew: false });
    writeTo(gradesOut, toLines(grades));
    const upstreams = [...new Set(legs.map(({ upstream }) => upstream))];
    site.io.out(`${items.length} items, answered by ${upstreams.join(", ")}\nwrote ${out}\nwrote ${gradesOut}: ${grades.length} grades\n`);
    return 0;
  },
};

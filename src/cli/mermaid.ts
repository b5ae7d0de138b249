import type { Drawing } from "../model/plan.ts";

/** Text within a quoted label: Mermaid reads `#quot;` and the like, and no quotes. */
function quoted(text: string): string {
  return `"${text.replaceAll("#", "#35;").replaceAll('"', "#quot;").replaceAll("<", "#lt;")}"`;
}

/** A drawing as a Mermaid block, to be pasted where Markdown is shown. Names may be words of Mermaid's own (`end`), so boxes have numbers. */
export function mermaid({ boxes, arrows }: Drawing): string {
  const ids = new Map(boxes.map(({ name }, index) => [name, `n${index + 1}`]));
  const lines = [
    ...boxes.map(({ name, title, decides }) => {
      const label = quoted(`${name}: ${title}`);
      return `${ids.get(name)}${decides ? `{{${label}}}` : `[${label}]`}`;
    }),
    ...arrows.map(({ from, to, verdict }) => `${ids.get(from)} ${verdict ? `-. ${verdict} .->` : "-->"} ${ids.get(to)}`),
  ];
  return ["", "```mermaid", "flowchart LR", ...lines.map((line) => `  ${line}`), "```"].join("\n");
}

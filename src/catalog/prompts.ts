import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Prompt, Strategy } from "../strategies/define.ts";

const place = /\{\{\s*([A-Za-z]\w*)\s*\}\}/;

/** A prompt's text that is not one. `message` is for the operator. */
export class PromptError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "PromptError";
  }
}

/**
 * Reads a prompt's text: `{{variable}}` and nothing else. It is cut into its parts once, so that what is filled in is never read for places again
 * (a candidate may hold `{{question}}`).
 */
export function parsePrompt(text: string): Prompt {
  const parts = text.trim().split(new RegExp(place, "g"));
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 0 && part.includes("{{"))
      throw new PromptError(`"{{" starts no {{variable}}: ${JSON.stringify(part.slice(part.indexOf("{{")).slice(0, 30))}`);
  }
  const variables = [...new Set(parts.filter((_, index) => index % 2 === 1))];
  return {
    variables,
    fill(values) {
      return parts
        .map((part, index) => {
          if (index % 2 === 0) return part;
          const value = values[part];
          if (value === undefined) throw new Error(`The prompt's variable ${part} was not given.`);
          return value;
        })
        .join("");
    },
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new PromptError(`can not read ${path} (${(cause as NodeJS.ErrnoException).code ?? "unknown"})`);
  }
}

/** The prompt that stands beside a strategy. */
export function shippedPrompt(level: Strategy["level"], name: string): Prompt {
  return parsePrompt(read(fileURLToPath(new URL(`../strategies/${level}/${name}.prompt.md`, import.meta.url))));
}

/** A prompt of the operator's in the place of a shipped one: it may leave variables out, never have others. */
export function overridingPrompt(path: string, shipped: Prompt): Prompt {
  const prompt = parsePrompt(read(path));
  const unknown = prompt.variables.filter((variable) => !shipped.variables.includes(variable));
  if (unknown.length === 0) return prompt;
  const known = shipped.variables.map((variable) => `{{${variable}}}`).join(", ");
  throw new PromptError(`${path} has {{${unknown.join("}}, {{")}}}, which nobody fills; it may have ${known || "no variable"}`);
}

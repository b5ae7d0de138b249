import { expect, test } from "vitest";
import { parsePrompt } from "../../src/catalog/prompts.ts";

function filled(text: string, variables: Readonly<Record<string, string>>): string {
  return parsePrompt(text).fill(variables);
}

test("fills each place, however often it stands", () => {
  const prompt = parsePrompt("\nQ: {{question}} / {{ question }}\nA: {{answer}}\n");
  expect(prompt.variables).toEqual(["question", "answer"]);
  const variables: Readonly<Record<string, string>> = Object.fromEntries([
    ["question", "why?"],
    ["answer", "so"],
  ]);
  expect(prompt.fill(variables)).toBe("Q: why? / why?\nA: so");
});

test("does not read what is filled in for places, nor for patterns of replace", () => {
  expect(filled("{{a}}|{{b}}", { a: "{{b}}", b: "$& $1 {{a}}" })).toBe("{{b}}|$& $1 {{a}}");
});

test("leaves single braces alone", () => {
  expect(filled('Reply {"label": "A"} or {x}}', {})).toBe('Reply {"label": "A"} or {x}}');
});

test.each(["{{#if a}}x{{/if}}", "{{a.b}}", "{{}}", "{{a", "{{1}}"])("refuses %s", (text) => {
  expect(() => parsePrompt(text)).toThrow(/starts no \{\{variable\}\}/);
});

test("throws when a variable is not given", () => {
  expect(() => filled("{{a}}", {})).toThrow("variable a");
});

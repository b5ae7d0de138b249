import type { Capabilities } from "../providers/define.ts";

type Row = readonly [name: RegExp, can: Capabilities];

const text: Capabilities = { images: false, audio: false };
const seeing: Capabilities = { images: true, audio: false, files: true, tools: true };

/**
 * What the makers' own documents say of their models, 2026-11; by price list, first match. Only what is certain: a name that is not here is
 * unknown, and is sent what it is asked.
 */
const table: Readonly<Record<string, readonly Row[]>> = {
  openai: [
    [/^gpt-3\.5-turbo/, { ...text, files: false, tools: true, schema: false }],
    [/^gpt-4(?:-0\d{3}|-32k.*)?$/, { ...text, files: false, tools: true, schema: false }],
    [/^o3-mini/, { ...text, tools: true, logprobs: false }],
    [/^gpt-(?:4o-(?:mini-)?)?audio/, { images: false, audio: true, tools: true }],
    [/^(?:o1|o3|o4-mini)(?:-\d{4}-\d{2}-\d{2})?$/, { ...seeing, logprobs: false }],
    [/^gpt-5(?:-mini|-nano)?(?:-\d{4}-\d{2}-\d{2})?$/, { ...seeing, logprobs: false }],
    [/^gpt-(?:4o|4\.1|5\.\d)(?:-mini|-nano)?(?:-\d{4}-\d{2}-\d{2})?$/, seeing],
  ],
  anthropic: [
    [/^claude-3-5-haiku|^claude-[12]|^claude-instant/, { audio: false }],
    [/^claude/, { audio: false, files: true }],
  ],
  google: [[/^gemini-/, { audio: true, files: true }]],
  deepseek: [[/^deepseek-(?:chat|reasoner)$/, { ...text, files: false }]],
};

/** What is known of a model by its name. */
export function tableOf(pricedAs: string | undefined, model: string): Capabilities {
  return (pricedAs === undefined ? undefined : table[pricedAs])?.find(([name]) => name.test(model))?.[1] ?? {};
}

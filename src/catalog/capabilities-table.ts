import type { Capabilities } from "../providers/define.ts";

type Row = readonly [name: RegExp, can: Capabilities];

const text: Capabilities = { images: false, audio: false };
const seeing: Capabilities = { images: true, audio: false, files: true, tools: true };

/** A name, or a version of it. */
function dated(names: string): RegExp {
  return new RegExp(`^(?:${names})(?:-\\d{4}-\\d{2}-\\d{2})?$`);
}

/**
 * What the makers' own documents say of their models, 2026-11; by price list, first match. Only what is certain: a name that is not here is
 * unknown, and is sent what it is asked. Lengths of price lists are none of it: they lag behind, and a header may lift them.
 */
const table: Readonly<Record<string, readonly Row[]>> = {
  openai: [
    [/^gpt-3\.5-turbo(?:-0125|-1106)?$/, { ...text, files: false, tools: true, schema: false, contextLength: 16_385 }],
    [/^gpt-4(?:-0\d{3})?$/, { ...text, files: false, tools: true, schema: false, contextLength: 8192 }],
    [/^o3-mini/, { ...text, tools: true, logprobs: false, contextLength: 200_000 }],
    [/^gpt-(?:4o-(?:mini-)?)?audio/, { images: false, audio: true, tools: true, contextLength: 128_000 }],
    [dated("o1|o3|o4-mini"), { ...seeing, logprobs: false, contextLength: 200_000 }],
    [dated("gpt-5(?:-mini|-nano)?"), { ...seeing, logprobs: false, contextLength: 400_000 }],
    [dated("gpt-4o(?:-mini)?"), { ...seeing, contextLength: 128_000 }],
    [dated("gpt-4\\.1(?:-mini|-nano)?"), { ...seeing, contextLength: 1_047_576 }],
    [dated("gpt-5\\.\\d(?:-mini|-nano)?"), seeing],
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

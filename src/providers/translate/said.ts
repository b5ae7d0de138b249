import type { Part } from "./parts.ts";
import type { Thought } from "./reasoning.ts";
import type { Called } from "./turns.ts";

/** One thing that an assistant said, called or thought. */
export type Said =
  | { readonly type: "part"; readonly part: Part }
  | { readonly type: "call"; readonly call: Called }
  | { readonly type: "thought"; readonly thought: Thought };

/** So much of a text that no character is cut. */
function cutAt(text: string, length: number): number {
  return /^[\uDC00-\uDFFF]/.test(text.slice(length, length + 1)) ? length + 1 : length;
}

/** What an assistant's turn says with each thought where the model had it: a signature holds nowhere else. A text with a thought in it is cut there. */
export function inOrder(
  { parts, calls }: { readonly parts: readonly Part[]; readonly calls: readonly Called[] },
  thoughts: readonly Thought[],
): readonly Said[] {
  const said: Said[] = [];
  const words = parts.toReversed();
  let length = 0;
  let called = 0;
  const sayUntil = (end: number) => {
    for (let part = words.at(-1); part && length < end; part = words.at(-1)) {
      words.pop();
      const text = part.type === "text" ? part.text : "";
      const cut = text.length > end - length ? cutAt(text, end - length) : text.length;
      length += cut;
      if (cut === text.length) said.push({ type: "part", part });
      else {
        // A hint for the cache stands at the end of its part.
        said.push({ type: "part", part: { ...part, type: "text", text: text.slice(0, cut), from: {} } });
        words.push({ ...part, type: "text", text: text.slice(cut) });
      }
    }
  };
  const callUntil = (end: number) => {
    for (; called < Math.min(end, calls.length); called += 1) {
      const call = calls[called];
      if (call) said.push({ type: "call", call });
    }
  };
  for (const thought of thoughts) {
    sayUntil(thought.place?.text ?? 0);
    callUntil(thought.place?.calls ?? 0);
    said.push({ type: "thought", thought });
  }
  sayUntil(Infinity);
  callUntil(Infinity);
  return said;
}

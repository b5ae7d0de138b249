/** A text that a prompt shows as data: a candidate, a card, a question. */
export interface Block {
  /** What the prompt calls it, such as `candidate A`. */
  readonly name: string;
  /** A, B, C ... or 1, 2, 3 ..., where it has one. */
  readonly label: string | undefined;
  readonly text: string;
}

/** A prompt taken apart. */
export interface Blocks {
  readonly blocks: readonly Block[];
  /** What stands round the blocks. */
  readonly rest: string;
}

/** A longer line is no fence; it also bounds the search. */
const LONGEST = 300;

/** A line's words without the marks round them: `--- candidate A ---` is `candidate A`. */
const coreOf = (line: string) => line.replaceAll(/^[^\p{L}\p{N}</]+|[^\p{L}\p{N}]+$/gu, "");

const closing = /^(?:end(?: of)? |\/)(.+)$/i;

const heading =
  /^[^\p{L}\p{N}]*(?:candidate|answer|response|solution|proposal|draft|agent|member|reply) (?:[A-Z]|\d{1,2})[^\p{L}\p{N}]*$/iu;

const isHeading = (line: string) => line.length <= LONGEST && heading.test(line);

/**
 * Finds the texts that a prompt shows between fences: a line and later the same line with `end of` before it, or a tag and its end; and where
 * there are none, below headings such as `Candidate A:`. Blocks do not nest: a fence inside a block is text of the block.
 */
export function readBlocks(text: string): Blocks {
  const lines = text.split("\n");
  const fenced = readFenced(lines);
  return fenced.blocks.length > 0 ? fenced : readHeaded(lines);
}

function readFenced(lines: readonly string[]): Blocks {
  const ends = endsOf(lines);
  const blocks: Block[] = [];
  const rest: string[] = [];
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i] ?? "";
    const left = ends.get(startOf(line) ?? "") ?? [];
    while ((left.at(-1) ?? Infinity) <= i) left.pop();
    const end = left.at(-1);
    if (end === undefined) rest.push(line);
    else {
      blocks.push({
        ...namesIn(line),
        text: lines
          .slice(i + 1, end)
          .join("\n")
          .trim(),
      });
      i = end;
    }
  }
  return { blocks, rest: rest.join("\n") };
}

/** Where the blocks of each name can end, the first place last. */
function endsOf(lines: readonly string[]): ReadonlyMap<string, number[]> {
  const ends = new Map<string, number[]>();
  for (let i = lines.length - 1; i >= 0; i -= 1) {
    const name = endOf(lines[i] ?? "");
    if (name === undefined) continue;
    const places = ends.get(name);
    if (places) places.push(i);
    else ends.set(name, [i]);
  }
  return ends;
}

function readHeaded(lines: readonly string[]): Blocks {
  const starts = [...lines.keys()].filter((i) => isHeading(lines[i] ?? ""));
  const blocks = starts.map((start, i) => ({
    ...namesIn(lines[start] ?? ""),
    text: lines
      .slice(start + 1, starts[i + 1])
      .join("\n")
      .trim(),
  }));
  return blocks.length < 2 ? { blocks: [], rest: lines.join("\n") } : { blocks, rest: lines.slice(0, starts[0]).join("\n") };
}

/** The name of a tag, or a fence's words. */
function startOf(line: string): string | undefined {
  if (line.length > LONGEST) return undefined;
  const tag = /^\s*<([a-z][\w-]*)[^>]*>\s*$/i.exec(line)?.[1];
  const core = coreOf(line);
  return tag ?? (closing.test(core) ? undefined : core);
}

function endOf(line: string): string | undefined {
  if (line.length > LONGEST) return undefined;
  const tag = /^\s*<\/([a-z][\w-]*)[^>]*>\s*$/i.exec(line)?.[1];
  return tag ?? closing.exec(coreOf(line))?.[1];
}

function namesIn(line: string): Omit<Block, "text"> {
  const name = coreOf(line).replace(/,? (?:mark|nonce|id) \w+$/i, "");
  const label = /\b(?:label|id|name|index)=["']?([A-Z]{1,2}|\d{1,2})\b/.exec(line) ?? /(?:^|[\s"'=_-])([A-Z]{1,2}|\d{1,2})$/.exec(name);
  return { name, label: label?.[1] };
}

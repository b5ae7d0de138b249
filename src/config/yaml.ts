import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Document, type YAMLError } from "yaml";
import { ConfigError, type Problem } from "./config-error.ts";
import type { Path } from "./origin.ts";

export interface Read {
  readonly raw: unknown;
  readonly line: (path: Path) => number | undefined;
}

/** The message without what it quotes from the file, which might be a secret. */
function toMessage(error: YAMLError, text: string): string {
  if (error.code === "DUPLICATE_KEY") {
    const key = /^["']?([\w.-]+)/.exec(text.slice(error.pos[0]))?.[1];
    return key === undefined ? "the same key stands twice" : `the key "${key}" stands twice`;
  }
  return `not valid YAML: ${error.message.split(/: |"/)[0] ?? ""}`.trim();
}

/** Reads YAML; every fault of it, a duplicate key among them, is an error with its line. */
export function readYaml(text: string, file?: string): Read {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const lineAt = (offset: number) => lines.linePos(offset).line;
  if (doc.errors.length > 0) {
    throw new ConfigError(
      doc.errors.map((error): Problem => ({
        path: "",
        message: toMessage(error, text),
        line: lineAt(error.pos[0]),
      })),
      file,
    );
  }
  return { raw: toPlain(doc, file) ?? {}, line: (path) => lineOf(doc, path, lineAt) };
}

function toPlain(doc: Document, file: string | undefined): unknown {
  try {
    return doc.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    // The guard against alias bombs, or an alias without its anchor.
    if (!(cause instanceof ReferenceError)) throw cause;
    throw new ConfigError(
      [
        {
          path: "",
          message: "its YAML aliases can not be resolved, or there are far too many of them",
        },
      ],
      file,
    );
  }
}

function lineOf(doc: Document, path: Path, lineAt: (offset: number) => number): number | undefined {
  let node: unknown = doc.contents;
  let offset = isNode(node) ? node.range?.[0] : undefined;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(doc);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
      if (!pair) break;
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      node = node.items[step];
      if (!isNode(node)) break;
      offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset === undefined ? undefined : lineAt(offset);
}

import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { providers } from "../src/providers/registry.ts";
import { strategies } from "../src/strategies/registry.ts";

// The arrows of src/README.md. What a folder may import besides itself; a file stands for that file alone.
const lower = ["model", "store", "telemetry", "upstream", "panel", "providers", "strategies", "learn", "config"];
const arrows: Readonly<Record<string, readonly string[]>> = {
  model: [],
  store: ["model"],
  telemetry: ["model"],
  upstream: ["model", "telemetry"],
  panel: ["model", "store"],
  providers: ["model", "upstream", "store"],
  strategies: ["model", "panel", "store"],
  learn: ["model", "panel"],
  config: ["strategies/define.ts", "strategies/registry.ts", "providers/define.ts", "providers/registry.ts"],
  catalog: lower,
  http: ["model", "catalog", "store", "telemetry", "config"],
  cli: [...lower, "catalog", "http", "app.ts", "version.ts"],
  "app.ts": [...lower, "catalog", "http", "cli", "version.ts"],
  "serve.ts": [...lower, "catalog", "http", "app.ts", "kept-tick.ts"],
  "gateway.ts": [...lower, "cli", "serve.ts"],
  "main.ts": ["gateway.ts"],
  "version.ts": ["../package.json"],
  "kept-tick.ts": [],
};

/** Packages that only some places know. */
const owners: Readonly<Record<string, readonly string[]>> = {
  fastify: ["http", "app.ts", "serve.ts"],
  undici: ["upstream"],
  "node:sqlite": ["store"],
  ioredis: ["store"],
};

const root = fileURLToPath(new URL("../src/", import.meta.url));

interface Import {
  /** Relative to src. */
  readonly from: string;
  /** A file relative to src, or a package. */
  readonly to: string;
  readonly isOwn: boolean;
  readonly onlyTypes: boolean;
}

function isOnlyTypes(clause: string): boolean {
  if (/^type\b/.test(clause)) return true;
  const names = /^\{([^}]*)\}$/.exec(clause.trim())?.[1];
  return names !== undefined && names.split(",").every((name) => name.trim() === "" || /^type\s/.test(name.trim()));
}

function importsOf(from: string): readonly Import[] {
  const text = readFileSync(join(root, from), "utf8");
  const toImport = (specifier: string, onlyTypes: boolean): Import => {
    const isOwn = specifier.startsWith(".");
    return {
      from,
      to: isOwn ? normalize(join(dirname(from), specifier)) : specifier,
      isOwn,
      onlyTypes,
    };
  };
  const statements = text.matchAll(/^(?:import|export)\s+([^;"'()]*?)\s*from\s+"([^"]+)"/gm);
  const others = text.matchAll(/^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm);
  return [
    ...[...statements].map(([, clause = "", specifier = ""]) => toImport(specifier, isOnlyTypes(clause))),
    ...[...others].map(([, plain, dynamic]) => toImport(plain ?? dynamic ?? "", false)),
  ];
}

const files = globSync("**/*.ts", { cwd: root });
const imports = files.flatMap(importsOf);

/** The folder below src, or the file itself at its top. */
function stationOf(file: string): string {
  return file.split("/")[0] ?? file;
}

/** A package's name without the path inside it. */
function packageOf(specifier: string): string {
  if (specifier.startsWith("node:")) return specifier;
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

const tell = ({ from, to }: Import) => `${from} -> ${to}`;

test("the imports were found", () => {
  expect(files.length).toBeGreaterThan(60);
  expect(imports.length).toBeGreaterThan(300);
  for (const station of ["config", "catalog", "panel", "providers", "strategies", "upstream", "store", "cli"]) {
    expect(imports.filter(({ from, isOwn }) => isOwn && stationOf(from) === station).length, station).toBeGreaterThan(0);
  }
  expect(imports.some(({ onlyTypes }) => onlyTypes) && imports.some(({ onlyTypes }) => !onlyTypes)).toBe(true);
  // Each file's own count: what a line that begins with `import` is, was read.
  for (const file of files) {
    const lines = readFileSync(join(root, file), "utf8").match(/^import\b/gm)?.length ?? 0;
    expect(imports.filter(({ from }) => from === file).length, file).toBeGreaterThanOrEqual(lines);
  }
});

test("every file stands in a known station", () => {
  expect(files.filter((file) => arrows[stationOf(file)] === undefined)).toEqual([]);
});

test("imports follow the arrows", () => {
  const wrong = imports.filter(({ from, to, isOwn }) => {
    if (!isOwn || stationOf(from) === stationOf(to)) return false;
    const allowed = arrows[stationOf(from)] ?? [];
    return !allowed.includes(stationOf(to)) && !allowed.includes(to);
  });
  expect(wrong.map(tell)).toEqual([]);
});

test("http takes only types from config", () => {
  const wrong = imports.filter(({ from, to, onlyTypes }) => stationOf(from) === "http" && stationOf(to) === "config" && !onlyTypes);
  expect(wrong.map(tell)).toEqual([]);
});

test.each(Object.entries(owners))("only its owners know %s", (name, stations) => {
  const wrong = imports.filter(({ from, to, isOwn }) => !isOwn && packageOf(to) === name && !stations.includes(stationOf(from)));
  expect(wrong.map(tell)).toEqual([]);
});

test("the model folder imports nothing but node", () => {
  const wrong = imports.filter(({ from, to, isOwn }) => stationOf(from) === "model" && !isOwn && !to.startsWith("node:"));
  expect(wrong.map(tell)).toEqual([]);
});

describe.each([
  [
    "strategies",
    [...strategies.values()].map(({ level, kind }) => `strategies/${level}/${kind}`),
    [
      "strategies/define.ts",
      "strategies/members.ts",
      "strategies/settling.ts",
      "strategies/talk.ts",
      "strategies/tool-turns.ts",
      "strategies/written.ts",
    ],
  ],
  [
    "providers",
    [...providers.keys()].map((kind) => `providers/${kind}`),
    [
      "providers/base-url.ts",
      "providers/headers.ts",
      "providers/define.ts",
      ...files.filter((file) => file.startsWith("providers/translate/")),
    ],
  ],
])("%s", (folder, kinds, shared) => {
  /** The kind that a file belongs to: `demo.ts`, `demo-quiz.ts` and `openai/leaf.ts` are parts of one each. */
  const kindOf = (file: string) =>
    kinds.find((kind) => file === `${kind}.ts` || file.startsWith(`${kind}-`) || file.startsWith(`${kind}/`));

  test("have one file for each kind, by its name", () => {
    expect(kinds.map((kind) => `${kind}.ts`).filter((file) => !files.includes(file))).toEqual([]);
  });

  test("never import each other", () => {
    const within = imports.filter(({ from, to, isOwn }) => isOwn && kindOf(from) !== undefined && stationOf(to) === folder);
    expect(within.length).toBeGreaterThan(kinds.length - 1);
    const wrong = within.filter(({ from, to }) => !shared.includes(to) && kindOf(to) !== kindOf(from));
    expect(wrong.map(tell)).toEqual([]);
  });

  test("belong to a kind or are shared", () => {
    const own = files.filter((file) => stationOf(file) === folder && kindOf(file) === undefined);
    expect(own.toSorted()).toEqual([...shared, `${folder}/registry.ts`].toSorted());
  });
});

test("nothing is exported as default", () => {
  expect(files.filter((file) => /^export default\b/m.test(readFileSync(join(root, file), "utf8")))).toEqual([]);
});

test("file names say something", () => {
  const empty = new Set(["utils", "util", "helpers", "helper", "common", "misc", "index", "types", "manager", "service", "base"]);
  expect(files.filter((file) => empty.has(basename(file, ".ts")))).toEqual([]);
  expect(files.filter((file) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.ts$/.test(basename(file)))).toEqual([]);
});

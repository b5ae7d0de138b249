import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { parse, stringify } from "yaml";
import { buildCatalog } from "../src/catalog/build.ts";
import type { Catalog } from "../src/catalog/catalog.ts";
import { run } from "../src/cli/run.ts";
import { loadConfig } from "../src/config/load.ts";
import { configJsonSchema, registries, type JsonSchema } from "../src/config/schema.ts";
import { systemClock } from "../src/model/clock.ts";
import { openPools } from "../src/upstream/pools.ts";
import { flags } from "./process/kit.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

const readme = read("README.md");
const settings = read("docs/config.md");
const dockerfile = read("Dockerfile");
const manifest = JSON.parse(read("package.json")) as { readonly version: string; readonly scripts: Readonly<Record<string, string>> };

type Sections = Readonly<Record<string, unknown>>;

function yamlBlocks(text: string): readonly string[] {
  return [...text.matchAll(/^```yaml[^\n]*\n(.*?)^```$/gms)].map(([, block = ""]) => block);
}

/** Every variable that a text names, with a value nobody could take for another. */
function canaries(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries([...text.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name = ""]) => [name, `canary-of-${name.toLowerCase()}`]));
}

/** Builds a config as the gateway does at boot. Throws what the operator would read. */
async function build(text: string): Promise<{ readonly catalog: Catalog; readonly secrets: readonly string[] }> {
  const config = loadConfig({ text, env: canaries(text) });
  const pools = openPools();
  try {
    return { catalog: await buildCatalog(config, { pools, clock: systemClock, warn: () => {} }), secrets: config.secrets };
  } finally {
    await pools.close();
  }
}

function isMap(value: unknown): value is Sections {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** All examples of the README in one file, as the page says that they may be. */
function together(): Sections {
  const whole: Record<string, unknown> = {};
  for (const [section, value] of yamlBlocks(readme).flatMap((block) => Object.entries(parse(block) as Sections))) {
    const known = whole[section];
    if (isMap(value) && isMap(known)) {
      expect(Object.keys(value).filter((name) => Object.hasOwn(known, name))).toEqual([]);
      whole[section] = { ...known, ...value };
    } else {
      expect(known, section).toBeUndefined();
      whole[section] = value;
    }
  }
  return whole;
}

test("the examples of the README are one legal config", async () => {
  expect(yamlBlocks(readme).length).toBeGreaterThan(6);
  const whole = together();
  const { catalog, secrets } = await build(stringify(whole));
  expect(secrets).toContain("canary-of-openai_api_key");
  const models = Object.keys(whole["models"] as Sections);
  expect(catalog.list().map(({ name }) => name)).toEqual(expect.arrayContaining(models));
  for (const { models: allowed } of whole["keys"] as readonly { readonly models: readonly string[] }[]) {
    expect(allowed.filter((name) => catalog.get(name) === undefined)).toEqual([]);
  }
});

test("the README lists every kind, with the way to its section", () => {
  const listed = [...readme.matchAll(/^\| \[`([a-z-]+)`\]\(docs\/strategies\.md#\1\)/gm)].map(([, kind = ""]) => kind);
  expect(listed.toSorted()).toEqual([...registries.strategies.keys()].toSorted());
});

/** Runs `check` over a config as a file of this name; what it printed names the file as the page does. */
async function checked(name: string, text: string): Promise<{ readonly code: number; readonly printed: string }> {
  const folder = mkdtempSync(join(tmpdir(), "chorale-docs-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, name);
  writeFileSync(path, text);
  let printed = "";
  const io = {
    out: (text: string) => void (printed += text),
    err: (text: string) => void (printed += text),
    serve: () => Promise.resolve(1),
    probe: () => Promise.resolve(undefined),
  };
  const code = await run(["check", "--config", path], canaries(text), io);
  return { code, printed: printed.replace(path, name) };
}

test("check prints what the README shows of it", async () => {
  const { code, printed } = await checked("chorale.yaml", stringify(together()));
  expect(code).toBe(0);
  const shown = /^\$ npm run -s chorale -- check\n(.*?)^```$/ms.exec(readme)?.[1] ?? "";
  const parts = shown.trim().split("\n\n...\n\n");
  expect(parts.length).toBeGreaterThan(1);
  for (const part of parts) expect(printed).toContain(part);
});

test("check tells mistakes as the README shows it", async () => {
  const typos = [
    "providers: {demo: {kind: demo}}",
    "",
    "models:",
    "  exam: {kind: vot, members: [demo/alto, demo/tenor]}",
    "  deep: {kind: fuse, members: [demo/alto, demo/tenor], writer: demo/alto, graceMs: 4000}",
  ];
  const { code, printed } = await checked("typo.yaml", typos.join("\n"));
  expect(code).toBeGreaterThan(0);
  const shown = /^\$ npm run -s chorale -- check -c typo\.yaml\n(.*?)^```$/ms.exec(readme)?.[1];
  expect(printed).toBe(shown);
});

test("the example of the image is a legal config, and compose gives it all its variables", async () => {
  const example = read("docker/chorale.example.yaml");
  const { catalog } = await build(example);
  expect(catalog.get("smart")?.kind).toBe("cascade");
  const compose = parse(read("docker/compose.yaml")) as {
    readonly services: {
      readonly gateway: { readonly environment: Sections; readonly volumes: readonly string[]; readonly stop_grace_period: string };
    };
  };
  const { environment, volumes, stop_grace_period: grace } = compose.services.gateway;
  expect(Object.keys(canaries(example)).filter((name) => environment[name] === undefined)).toEqual([]);
  expect(volumes).toContain(`./chorale.example.yaml:${String(environment["CHORALE_CONFIG"])}:ro`);
  expect(Number.parseInt(grace, 10) * 1000).toBeGreaterThan(loadConfig({ text: example, env: canaries(example) }).server.drainMs);
});

interface Setting {
  readonly path: string;
  readonly schema: JsonSchema;
}

/** Every key below a schema; branches of a union all count. */
function keysOf(schema: JsonSchema, path = ""): readonly Setting[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const at = path === "" ? key : `${path}.${key}`;
    return [{ path: at, schema: inner }, ...keysOf(inner, at)];
  });
  const { items, additionalProperties: each } = schema;
  return [
    ...own,
    ...(items && !Array.isArray(items) ? keysOf(items as JsonSchema, `${path}[]`) : []),
    ...(typeof each === "object" ? keysOf(each, `${path}.<name>`) : []),
    ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((branch) => keysOf(branch, path)),
  ];
}

/** A value with `${NAME}` beside it, or a plain one. */
function isValue({ type, anyOf, oneOf, properties, items }: JsonSchema): boolean {
  if (anyOf || oneOf) return [...(anyOf ?? []), ...(oneOf ?? [])].every(isValue);
  return properties === undefined && type !== "object" && (type !== "array" || !keysOf({ items: items ?? {} }).length);
}

const schema = configJsonSchema();
const { providers: _, models: __, ...sections } = schema.properties ?? {};
const sectionKeys = keysOf({ properties: sections });

test("docs/config.md has every section", () => {
  expect(Object.keys(schema.properties ?? {}).filter((section) => !settings.includes(`## \`${section}\``))).toEqual([]);
});

test("docs/config.md has a row for every setting of the sections, with its default", () => {
  const rows = new Map([...settings.matchAll(/^\| `([^`]+)`(?: †)? +\| (.*?) +\|/gm)].map(([, path = "", usual = ""]) => [path, usual]));
  const values = sectionKeys.filter(({ schema }) => isValue(schema) && schema.const === undefined);
  expect(values.length).toBeGreaterThan(20);
  expect(values.filter(({ path }) => !rows.has(path)).map(({ path }) => path)).toEqual([]);
  const told = values.filter(({ schema }) => schema.default !== undefined);
  expect(Object.fromEntries(told.map(({ path }) => [path, rows.get(path)]))).toEqual(
    Object.fromEntries(told.map(({ path, schema }) => [path, `\`${JSON.stringify(schema.default)}\``])),
  );
});

test.each([...registries.strategies.keys()])("docs/config.md names every option of %s with its default", (kind) => {
  const text = settings.split(/^### /m).find((part) => part.startsWith(`${kind}\n`));
  expect(text, `a section "### ${kind}"`).toBeDefined();
  const options = keysOf(schema.definitions?.[`node-${kind}`] ?? {}).filter(({ path }) => path !== "kind");
  expect(options.length).toBeGreaterThan(1);
  const names = (path: string) => path.split(".").at(-1) ?? path;
  expect(options.filter(({ path }) => !new RegExp(`\\b${names(path)}\\b`).test(settings)).map(({ path }) => path)).toEqual([]);
  for (const { path, schema } of options) {
    if (schema.default === undefined || typeof schema.default === "object" || path.includes("[]") || path.includes(".")) continue;
    expect(text).toMatch(new RegExp(`\\| \`${path}\` +\\| \`${JSON.stringify(schema.default).replaceAll(".", "\\.")}\` +\\|`));
  }
});

test("docs/config.md names every prompt, and none that is not there", () => {
  const [, table = ""] = settings.split(/^\| kind +\| its prompts +\|\n/m);
  const named = table
    .slice(0, table.indexOf("\n\n"))
    .split("\n")
    .flatMap((row) => [...(row.split("|")[2] ?? "").matchAll(/`([a-z-]+)`/g)].map(([, prompt = ""]) => prompt));
  const files = globSync("src/strategies/*/*.prompt.md", { cwd: root }).map((path) => basename(path, ".prompt.md"));
  expect(files.length).toBeGreaterThan(2);
  expect([...new Set(named)].toSorted()).toEqual(files.toSorted());
});

/** The JSON list behind a word of the Dockerfile. */
function listOf(word: string): readonly string[] {
  const list = new RegExp(`\\b${word} (\\[.*\\])$`, "m").exec(dockerfile)?.[1];
  return JSON.parse(list ?? "[]") as readonly string[];
}

test("the image starts node as `npm start` does, with its flags", () => {
  const [command, ...args] = (manifest.scripts["start"] ?? "").split(" ");
  expect(command).toBe("node");
  expect(args).toEqual([...flags, "src/main.ts"]);
  expect(listOf("ENTRYPOINT")).toEqual([command, ...args.slice(0, -1), `/app/${args.at(-1)}`]);
});

test("the image copies what the source reads, and runs as nobody special", () => {
  const kept = read(".dockerignore")
    .split("\n")
    .filter((line) => line.startsWith("!"))
    .map((line) => line.slice(1));
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, files = ""]) => files.split(" "));
  expect([...new Set(copied)].toSorted()).toEqual(kept.toSorted());
  expect(dockerfile).toMatch(/^USER node$/m);
  expect(dockerfile).toMatch(/^STOPSIGNAL SIGTERM$/m);
});

test("the health check of the image tells a healthy gateway from a dead one", async () => {
  const [, ...check] = listOf("CMD");
  expect(check[0]).toBe("-e");
  const server = createServer((request, reply) => reply.writeHead(request.url === "/health" ? 200 : 404).end());
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve());
  });
  const env = { PORT: String((server.address() as AddressInfo).port) };
  const status = () =>
    new Promise<number | null>((resolve) => {
      spawn(process.execPath, check, { env }).once("exit", resolve);
    });
  expect(await status()).toBe(0);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  expect(await status()).toBe(1);
});

test("CI runs the gate that everybody can run", () => {
  const workflow = read(".github/workflows/ci.yml");
  expect(workflow).toContain("run: bash .ci/run");
  // An action is named by its commit: a tag can be moved.
  const actions = [...workflow.matchAll(/uses: (\S+)/g)].map(([, action = ""]) => action);
  expect(actions.length).toBeGreaterThan(0);
  expect(actions.filter((action) => !/@[0-9a-f]{40}$/.test(action))).toEqual([]);
});

test("the changelog knows this version", () => {
  expect(read("CHANGELOG.md")).toContain(`## [${manifest.version}]`);
});

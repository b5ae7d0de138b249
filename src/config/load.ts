import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { check } from "./check.ts";
import { ConfigError, type Problem } from "./config-error.ts";
import { configSchema, type Config, type KeyConfig } from "./config.ts";
import { discover, type Probe } from "./discover.ts";
import { interpolate, type Env } from "./interpolate.ts";
import { noOrigin, problemAt, showPath, type Origin } from "./origin.ts";
import { readYaml } from "./yaml.ts";

/** Name of the config file when nobody says otherwise. */
const USUAL = "chorale.yaml";

export interface LoadOptions {
  /** The file; without it `CHORALE_CONFIG`, or `chorale.yaml` where it exists. */
  readonly path?: string;
  readonly env: Env;
  /** The file's text, when it was read already. */
  readonly text?: string;
}

/** Path of the config file that applies; undefined when there is none. */
export function findConfig(env: Env, path?: string): string | undefined {
  const named = path ?? (env["CHORALE_CONFIG"] || undefined);
  return named ?? (existsSync(USUAL) ? USUAL : undefined);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : `it can not be read (${code ?? "unknown"})`;
    throw new ConfigError([{ path: "", message: why }], path);
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `HOST`, `PORT` and `LOG_LEVEL` win over the file, as written references so that messages name the variable. */
function withEnvironment(raw: unknown, env: Env): unknown {
  if (!isMap(raw)) return raw;
  const written = (section: string, variables: Readonly<Record<string, string>>) => {
    const old = raw[section] ?? {};
    const set = Object.entries(variables).filter(([, variable]) => env[variable]);
    if (set.length === 0 || !isMap(old)) return {};
    const references = set.map(([key, variable]) => [key, `\${${variable}}`]);
    return { [section]: { ...old, ...Object.fromEntries(references) } };
  };
  return {
    ...raw,
    ...written("server", { host: "HOST", port: "PORT" }),
    ...written("log", { level: "LOG_LEVEL" }),
  };
}

function duplicateKeys(keys: readonly KeyConfig[], origin: Origin): readonly Problem[] {
  const problems: Problem[] = [];
  for (const field of ["name", "key"] as const) {
    const seen = new Map<string, number>();
    for (const [index, key] of keys.entries()) {
      const first = seen.get(key[field]);
      if (first === undefined) seen.set(key[field], index);
      else problems.push(problemAt(origin, ["keys", index, field], `the same ${field} as keys[${first}]`));
    }
  }
  return problems;
}

/** Names with nothing behind them. Elsewhere a key without a value is an absent one; here somebody stopped in the middle of a line. */
function emptyEntries(raw: unknown, origin: Origin): readonly Problem[] {
  if (!isMap(raw)) return [];
  const wants = { providers: "a provider: {kind: openai, ...}", models: "the name of a model, or a map with a kind" };
  return Object.entries(wants).flatMap(([section, wanted]) => {
    const entries = raw[section];
    const empty = isMap(entries) ? Object.keys(entries).filter((name) => entries[name] === null) : [];
    return empty.map((name) => problemAt(origin, [section, name], `found nothing, expected ${wanted}`));
  });
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

/** Checks a config that a program made, or a file's parsed content. */
export function checkConfig(raw: unknown, env: Env, origin: Origin = noOrigin): Config {
  const { value, problems, written, secrets } = interpolate(withEnvironment(raw, env), env, origin);
  const source: Origin = { ...origin, written: (path) => written.get(showPath(path)) };
  const checked = check(configSchema, value, { origin: source, path: [] });
  // A variable that is missing has been reported; what the schema says of the hole it left is noise.
  const known = new Set(problems.map(({ path }) => path));
  const all = [
    ...problems,
    ...emptyEntries(raw, source),
    ...(checked.ok ? duplicateKeys(checked.value.keys, source) : checked.problems.filter(({ path }) => !known.has(path))),
  ];
  if (!checked.ok || all.length > 0) throw new ConfigError(all, origin.file);
  return freeze({ ...checked.value, origin: source, secrets });
}

/** Reads and checks the config file. Throws a ConfigError that tells every problem with its place. */
export function loadConfig({ path, env, text }: LoadOptions): Config {
  const file = path ?? (text === undefined ? findConfig(env) : undefined);
  if (file === undefined && text === undefined)
    throw new ConfigError([{ path: "", message: `there is no ${USUAL} here, and CHORALE_CONFIG is not set` }]);
  const { raw, line } = readYaml(text ?? readText(file ?? USUAL), file);
  const folder = file === undefined ? "." : dirname(resolve(file));
  return checkConfig(raw, env, {
    ...(file === undefined ? {} : { file }),
    folder,
    line,
    written: () => undefined,
  });
}

export interface Found {
  readonly config: Config;
  /** Absent when there was no file, and the config is what the environment and this machine offer. */
  readonly file?: string;
}

/** The config file, or without one what the environment and this machine offer. */
export async function loadOrDiscover(options: { readonly path?: string; readonly env: Env; readonly probe: Probe }): Promise<Found> {
  const { env } = options;
  const path = findConfig(env, options.path);
  if (path !== undefined) return { config: loadConfig({ path, env }), file: path };
  return { config: checkConfig(await discover(env, options.probe), env) };
}

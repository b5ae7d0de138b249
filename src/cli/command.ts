import type { ParseArgsConfig } from "node:util";
import type { Env } from "../config/interpolate.ts";
import type { Probe } from "../config/discover.ts";

/** What a command needs from outside. */
export interface Io {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Runs the gateway until it ends; the exit code. */
  serve(options: { readonly config?: string }): Promise<number>;
  /** Asks a local server which models it has. */
  readonly probe: Probe;
}

export interface CommandSite {
  readonly env: Env;
  readonly io: Io;
  /** `--config`, when it was given. */
  readonly config?: string;
  /** What was given besides options. */
  readonly args?: readonly string[];
  /** Options of the command's own. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

/** One command of the command line. */
export interface Command {
  readonly name: string;
  /** One sentence for `chorale help`. */
  readonly summary: string;
  readonly options: NonNullable<ParseArgsConfig["options"]>;
  /** What it takes besides options: `<model> [request.json]`. Without it, nothing. */
  readonly takes?: string;
  /** Resolves with the exit code. A ConfigError is told by the caller. */
  run(site: CommandSite): Promise<number>;
}

/** Commands of one name that are told apart by a second word. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

/** The option of every command that reads the config. */
export const configOption = { config: { type: "string", short: "c" } } as const;

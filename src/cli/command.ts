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
}

/** One command of the command line. */
export interface Command {
  readonly name: string;
  /** One sentence for `chorale help`. */
  readonly summary: string;
  readonly options: NonNullable<ParseArgsConfig["options"]>;
  /** Resolves with the exit code. A ConfigError is told by the caller. */
  run(site: CommandSite): Promise<number>;
}

/** The option of every command that reads the config. */
export const configOption = { config: { type: "string", short: "c" } } as const;

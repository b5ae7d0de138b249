import { parseArgs } from "node:util";
import { ConfigError } from "../config/config-error.ts";
import type { Env } from "../config/interpolate.ts";
import { didYouMean } from "../config/nearest.ts";
import { configOption, type Command, type CommandGroup, type CommandSite, type Io } from "./command.ts";
import { helpText } from "./help.ts";
import { version } from "../version.ts";
import { UsageError } from "./usage-error.ts";

const serve: Command = {
  name: "serve",
  summary: "Runs the gateway; the default.",
  options: configOption,
  run: ({ io, config }) => io.serve(config === undefined ? {} : { config }),
};

const versionCommand: Command = {
  name: "version",
  summary: "Prints the version.",
  options: {},
  async run({ io }) {
    io.out(`${version}\n`);
    return 0;
  },
};

const help: Command = {
  name: "help",
  summary: "Prints this.",
  options: {},
  async run({ io }) {
    io.out(helpText(await Promise.all(Object.values(commands).map((load) => load()))));
    return 0;
  },
};

/** In the order of the help. Each is loaded when it is asked for: a gateway that starts needs none of the others. */
const commands: Readonly<Record<string, () => Promise<Command | CommandGroup>>> = {
  serve: async () => serve,
  check: async () => (await import("./check.ts")).check,
  explain: async () => (await import("./explain.ts")).explain,
  models: async () => (await import("./models.ts")).models,
  schema: async () => (await import("./schema.ts")).schema,
  learn: async () => (await import("./learn.ts")).learn,
  version: async () => versionCommand,
  help: async () => help,
};

interface Asked {
  readonly command: Command;
  readonly args: readonly string[];
}

function memberOf({ name, commands }: CommandGroup, [word, ...args]: readonly string[]): Asked {
  const command = commands.find((one) => one.name === `${name} ${word}`);
  if (command) return { command, args };
  const words = commands.map((one) => one.name.slice(name.length + 1));
  const wrong = word === undefined || word.startsWith("-") ? `${name}: say what` : `there is no command "${name} ${word}"`;
  throw new UsageError(`${wrong}${didYouMean(word ?? "", words) || `; there are ${words.join(", ")}`}`);
}

async function commandOf(argv: readonly string[]): Promise<Asked> {
  const [first = "serve", ...rest] = argv;
  if (argv.includes("--help") || argv.includes("-h")) return { command: help, args: [] };
  if (first === "--version" || first === "-v") return { command: versionCommand, args: [] };
  if (first.startsWith("-")) return { command: serve, args: argv };
  const command = Object.hasOwn(commands, first) ? await commands[first]?.() : undefined;
  if (command) return "commands" in command ? memberOf(command, rest) : { command, args: rest };
  const names = Object.keys(commands);
  throw new UsageError(`there is no command "${first}"${didYouMean(first, names) || `; there are ${names.join(", ")}`}`);
}

function readOptions({ name, options, takes }: Command, args: readonly string[]): Pick<CommandSite, "config" | "args" | "flags"> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      strict: true,
      allowPositionals: takes !== undefined,
    });
    const given = { args: positionals, flags: values };
    return typeof values["config"] === "string" ? { ...given, config: values["config"] } : given;
  } catch (cause) {
    // Node's message names the option; its hint about "--" would only confuse here.
    throw new UsageError(`${name}: ${(cause as Error).message.split(". ")[0]}`, { cause });
  }
}

/** Runs the command line and resolves with the exit code. What the operator did wrong is one message, without a stack. */
export async function run(argv: readonly string[], env: Env, io: Io): Promise<number> {
  try {
    const { command, args } = await commandOf(argv);
    return await command.run({ env, io, ...readOptions(command, args) });
  } catch (thrown) {
    if (!(thrown instanceof ConfigError) && !(thrown instanceof UsageError)) throw thrown;
    io.err(`${thrown.message}\n`);
    return 1;
  }
}

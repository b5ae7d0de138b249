import type { Command, CommandGroup } from "./command.ts";

/** The text of `chorale help`. */
export function helpText(commands: readonly (Command | CommandGroup)[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    "Usage: chorale [command] [--config path]",
    "",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "Without --config the file is CHORALE_CONFIG, or chorale.yaml where it exists; without a file the gateway offers",
    "what it finds in the environment and on this machine, or its demo. HOST, PORT and LOG_LEVEL win over the file.",
    "",
  ].join("\n");
}

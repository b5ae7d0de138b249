import { LearnError } from "../learn/learn-error.ts";
import type { Command, CommandGroup } from "./command.ts";
import { UsageError } from "./usage-error.ts";
import { learnThresholdsCommand } from "./learn-cascade.ts";
import { learnImport } from "./learn-import.ts";
import { learnChemistry, learnVoteWeights } from "./learn-panel.ts";
import { learnLabelled, learnRouterTable } from "./learn-router.ts";

/** What nothing can be learned from is told as one message, like any mistake on the command line. */
function telling(command: Command): Command {
  return {
    ...command,
    async run(site) {
      try {
        return await command.run(site);
      } catch (thrown) {
        if (thrown instanceof LearnError) throw new UsageError(`${command.name}: ${thrown.message}`, { cause: thrown });
        throw thrown;
      }
    },
  };
}

const jobs = [learnVoteWeights, learnThresholdsCommand, learnRouterTable, learnLabelled, learnChemistry, learnImport];

export const learn: CommandGroup = {
  name: "learn",
  summary: `Learns from recorded history: ${jobs.map(({ name }) => name.slice("learn ".length)).join(", ")}.`,
  commands: jobs.map(telling),
};

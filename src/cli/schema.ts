import { configJsonSchema } from "../config/schema.ts";
import type { Command } from "./command.ts";

export const schema: Command = {
  name: "schema",
  summary: "Prints the JSON Schema of the config file, for editors.",
  options: {},
  async run({ io }) {
    io.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    return 0;
  },
};

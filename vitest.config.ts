import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // By default one core is left for a watching developer, which is half of a small machine.
    maxWorkers: availableParallelism(),
    // Reading the modules anew for each of two hundred files would be a third of the time. Nothing in `src` keeps state in a module.
    isolate: false,
    include: ["test/**/*.test.ts"],
    // Upper bounds for a busy machine with two cores; no test waits for them.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

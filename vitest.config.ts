import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Upper bounds for a busy machine with two cores; no test waits for them.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

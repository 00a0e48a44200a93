import { defineConfig } from "vitest/config";

// The core alone (token, sealing, codec, merge, cookie): what the mutation run changes, and the tests that must notice.
export default defineConfig({
  test: {
    include: [
      "src/sealing/**/*.test.ts",
      "src/codec/**/*.test.ts",
      "src/session/{token,merge,cookie}.test.ts",
      "test/sealing-vectors.test.ts",
    ],
    pool: "threads",
    testTimeout: 60_000,
    coverage: {
      provider: "v8",
      include: ["src/sealing/**/*.ts", "src/codec/**/*.ts", "src/session/{token,merge,cookie}.ts"],
      exclude: ["**/*.test.ts"],
      thresholds: { branches: 100 },
    },
  },
});

import { defineConfig } from "vitest/config";

// The core alone (token, sealing, codec, merge, cookie, write engine): what the mutation run changes, and the tests that must notice.
export default defineConfig({
  test: {
    include: [
      "src/sealing/**/*.test.ts",
      "src/codec/**/*.test.ts",
      "src/session/{token,known-tokens,merge,cookie,write-engine,pending}.test.ts",
      "test/content-vectors.test.ts",
      "test/sealing-vectors.test.ts",
    ],
    pool: "threads",
    testTimeout: 60_000,
    coverage: {
      provider: "v8",
      include: [
        "src/sealing/**/*.ts",
        "src/codec/**/*.ts",
        "src/session/{token,known-tokens,merge,cookie}.ts",
        "src/session/{write-engine,group-commit,retries,pending,next-token,lost-writes}.ts",
      ],
      exclude: ["**/*.test.ts"],
      thresholds: { branches: 100 },
    },
  },
});

import { defineConfig } from "vitest/config";
import core from "./vitest.core.config.ts";

// What a mutation run needs: the tests of the core, and the fast ones that drive sessions through commit, retry and recovery.
export default defineConfig({
  test: {
    ...core.test,
    include: [
      ...core.test!.include!,
      "test/session/{asked-meanwhile,change-of-user,clocks,defaults,edges,elevation,flash,lost-updates,outcomes}.test.ts",
      "test/session/{opened,promises,rejected-cookies,releases,touches,upgrades,user-ids}.test.ts",
    ],
    env: { TEST_DATABASES: "sqlite" },
    globalSetup: ["test/servers/global-setup.ts"],
  },
});

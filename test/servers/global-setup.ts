/** Vitest's globalSetup: starts the servers that the tests need, and stops those that it started. */
import type { TestProject } from "vitest/node";
import type { ServerName } from "../../scripts/services/engine.ts";
import { provide, release } from "../../scripts/services/services.ts";
import { chosenDatabases } from "./chosen.ts";

declare module "vitest" {
  interface ProvidedContext {
    servers: Partial<Record<ServerName, string>>;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const names = chosenDatabases().filter((name) => name !== "sqlite");
  project.provide("servers", await provide(names, { hold: true }));
  return release;
}

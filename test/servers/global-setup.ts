/** Vitest's globalSetup: starts the servers that the tests need, and stops those that it started. */
import type { TestProject } from "vitest/node";
import { provide, release } from "../../scripts/services/services.ts";
import { chosenDatabases } from "./chosen.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const names = chosenDatabases().filter((name) => name !== "sqlite");
  project.provide("servers", await provide(names, { hold: true }));
  return release;
}

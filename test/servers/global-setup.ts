/** Vitest's globalSetup: starts the servers that the tests need, and stops those that it started. */
import type { TestProject } from "vitest/node";
import { provide, release, variable } from "../../scripts/services/services.ts";
import { chosenDatabases } from "./chosen.ts";
import { engineAt } from "./cluster.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const names = chosenDatabases().filter((name) => name !== "sqlite");
  const servers = await provide(names, { hold: true });
  project.provide("servers", servers);
  const given = process.env[variable("postgres")];
  project.provide("postgresEngine", given && servers.postgres ? await engineAt(given) : "postgres");
  return release;
}

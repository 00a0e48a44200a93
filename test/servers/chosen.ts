import { serverNames } from "../../scripts/services/engine.ts";
import type { PostgresEngine } from "../../src/sql/postgres/engine.ts";
import type { ServerName } from "../../scripts/services/engine.ts";

declare module "vitest" {
  interface ProvidedContext {
    servers: Partial<Record<ServerName, string>>;
    /** What TEST_POSTGRES_URL leads to. */
    postgresEngine: PostgresEngine;
  }
}

export type DatabaseName = "sqlite" | ServerName;

const all: readonly DatabaseName[] = ["sqlite", ...serverNames];

/** What TEST_DATABASES asks for; everything when it is not set. */
export function chosenDatabases(): readonly DatabaseName[] {
  const asked = (process.env["TEST_DATABASES"] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  const unknown = asked.filter((name) => !all.includes(name as DatabaseName));
  if (unknown.length > 0)
    throw new Error(`TEST_DATABASES knows ${all.join(", ")}, not ${unknown.join(", ")}.`);
  return asked.length > 0 ? all.filter((name) => asked.includes(name)) : all;
}

/**
 * The libraries for SQLite that run on this Node. better-sqlite3 13 needs Node-API 10, which came with Node 22.14: on
 * 22.13 the process ends with a segmentation fault when it opens a file.
 */
export const sqliteDrivers: readonly ("node:sqlite" | "better-sqlite3")[] =
  Number(process.versions["napi"]) >= 10 ? ["node:sqlite", "better-sqlite3"] : ["node:sqlite"];

/** The suites that touch a database, on other versions of the servers than `npm test` runs on. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { programFolder, provide, release } from "../../scripts/services/services.ts";
import { otherVersions, versionVariable, type Versioned } from "../../scripts/services/versions.ts";
import { execute } from "../servers/execute.ts";

const suites = [
  "test/servers/",
  "test/store/servers",
  "test/adapters/express.test",
  "test/adapters/express-session.test",
  "test/adapters/fastify.test",
  "test/session/promises",
  "test/session/races",
  "test/session/revocation",
  "test/jobs/",
  "test/cli/servers",
  "test/cli/generate",
  "test/cli/import.test",
  "test/rails/store",
  "test/rails/import",
  "test/rails/side-by-side",
];

const root = join(import.meta.dirname, "../..");
const vitest = join(root, "node_modules/vitest/vitest.mjs");

/** As in `postgres@16`. */
export const servers: readonly string[] = (Object.keys(otherVersions) as Versioned[]).flatMap((name) =>
  Object.keys(otherVersions[name]).map((version) => `${name}@${version}`),
);

/** Starts the server, and runs the suites on it. Returns lines for the summary, of which the first begins with its outcome. */
export async function runOnServer(each: string): Promise<string[]> {
  const [name, version] = each.split("@") as [Versioned, string];
  const server = name === "pgbouncer" ? "postgres" : name;
  const variable = versionVariable(name);
  process.env[variable] = version;
  try {
    const url = (await provide([server], { hold: true }))[server]!;
    const [answer] = await execute(url, server, "SELECT version() AS version");
    const exact = String(answer?.["version"]).replace("PostgreSQL ", "");
    if (name === server && !exact.startsWith(`${version}.`)) throw new Error(`${exact} answered`);
    // The standby is made with client programs, which not every source of a server brings.
    const left = name !== "postgres" || existsSync(join(programFolder(name) ?? "", "pg_basebackup"));
    const failover = "test/servers/failover-postgres.test.ts";
    const files = name === "pgbouncer" ? ["test/servers/pgbouncer"] : suites;
    const args = [vitest, "run", ...files, ...(left ? [] : ["--exclude", failover])];
    const env = { ...process.env, TEST_DATABASES: server };
    const [code] = await once(spawn(process.execPath, args, { cwd: root, env, stdio: "inherit" }), "exit");
    const on = name === server ? exact : `before ${server} ${exact}`;
    return [
      `${code === 0 ? "passed" : "FAILED"} on ${each} (${on})`,
      ...(left ? [] : [`       without ${failover}: these programs have no pg_basebackup`]),
    ];
  } catch (error) {
    return [`FAILED on ${each}: ${(error as Error).message}`];
  } finally {
    await release();
    delete process.env[variable];
  }
}

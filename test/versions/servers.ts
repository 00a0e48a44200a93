/**
 * The suites that touch a database, on other versions of the servers than `npm test` runs on:
 *
 *   node test/campaigns/versions.ts [postgres@16] [postgres@17] [postgres@18] [mariadb@11.8] [pgbouncer@1.26]
 *
 * All of them when none is named. Programs are fetched once and kept; nothing of the machine changes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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

const all = Object.keys(otherVersions) as Versioned[];
const known = all.flatMap((name) => Object.keys(otherVersions[name]).map((version) => `${name}@${version}`));
const asked = process.argv.slice(2);
const unknown = asked.filter((each) => !known.includes(each));
if (unknown.length > 0) {
  console.error(`usage: versions.ts [${known.join("] [")}]`);
  process.exit(2);
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const told: string[] = [];
for (const each of asked.length > 0 ? asked : known) {
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
    told.push(
      `${code === 0 ? "passed" : "FAILED"} on ${each} (${name === server ? exact : `before ${server} ${exact}`})`,
    );
    if (!left) told.push(`       without ${failover}: these programs have no pg_basebackup`);
  } catch (error) {
    told.push(`FAILED on ${each}: ${(error as Error).message}`);
  } finally {
    await release();
    delete process.env[variable];
  }
}
console.log(`\n${told.join("\n")}`);
process.exitCode = told.some((line) => line.startsWith("FAILED")) ? 1 : 0;

/**
 * Prints README's table of what runs where, from what just ran: the suites of its rows, on the databases that
 * TEST_DATABASES names, and for older versions those of `npm run test:versions`. `matrix.ts Drivers Runtimes` runs only the
 * rows of these groups.
 * Fails, and says so, for each row without a test that passed or with one that failed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { provide, release } from "../../scripts/services/services.ts";
import { serverVersion, sqliteVersion } from "../matrix/databases.ts";
import { rows as all, tableOf, type Row } from "../matrix/rows.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { older } from "../versions/older.ts";
import { runOlder } from "../versions/run-older.ts";

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const asked = process.argv.slice(2);
const groups: readonly string[] = [...new Set(all.map(({ group }) => group))];
if (asked.some((group) => !groups.includes(group))) {
  console.error(`usage: matrix.ts [${groups.join("] [")}]`);
  process.exit(2);
}
const rows = all.filter(({ group }) => asked.length === 0 || asked.includes(group));

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "stored-session-matrix-"));
try {
  const output = join(folder, "report.json");
  const files = [...new Set(rows.filter((row) => row.older === undefined).map(({ file }) => file))];
  const reporters = ["--reporter", "dot", "--reporter", "json", `--outputFile.json=${output}`];
  const args = [join(root, "node_modules/vitest/vitest.mjs"), "run", ...reporters, ...files];
  await once(spawn(process.execPath, args, { cwd: root, stdio: "inherit" }), "exit");
  const { testResults } = JSON.parse(readFileSync(output, "utf8")) as Report;

  const statuses = ({ file, within = [] }: Row): string[] =>
    testResults
      .filter(({ name }) => name.endsWith(file))
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ fullName }) => within.every((part) => fullName.includes(part)))
      .map(({ status }) => status);
  const passed = new Set<string>();
  for (const { older: target } of rows)
    if (target !== undefined && (await runOlder(older[target]!)).passed) passed.add(target);
  const ran = rows.filter((row) => {
    if (row.older !== undefined) return passed.has(row.older);
    const found = statuses(row);
    return found.includes("passed") && !found.includes("failed");
  });

  const chosen = chosenDatabases();
  const servers = await provide(
    chosen.filter((kind) => kind !== "sqlite"),
    { hold: true },
  );
  const databases: string[] = [];
  for (const kind of chosen)
    databases.push(kind === "sqlite" ? sqliteVersion() : await serverVersion(kind, servers[kind]!));

  console.log(`\n${tableOf(ran, databases)}`);
  for (const { name, version, file } of rows.filter((row) => !ran.includes(row))) {
    console.log(`${name} ${version}: FAILED, or not run (${file})`);
    process.exitCode = 1;
  }
} finally {
  await release();
  rmSync(folder, { recursive: true });
}

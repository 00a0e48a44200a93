/**
 * Suites on other versions than `npm test` runs on:
 *
 *   node test/campaigns/versions.ts [postgres@16] [pgbouncer@1.26] [express@4.21] [astro@5] …
 *
 * All of them when none is named: the servers of test/versions/servers.ts, then the libraries of test/versions/older.ts.
 * `libraries` stands for all of the latter, `servers` for the former. What is fetched is fetched once and kept; nothing of the
 * machine changes.
 */
import { older } from "../versions/older.ts";
import { runOlder } from "../versions/run-older.ts";
import { runOnServer, servers } from "../versions/servers.ts";

const libraries = Object.keys(older);
const known = [...servers, ...libraries];
const asked = process.argv
  .slice(2)
  .flatMap((word) => (word === "servers" ? servers : word === "libraries" ? libraries : [word]));
if (asked.some((each) => !known.includes(each))) {
  console.error(`usage: versions.ts [servers] [libraries] [${known.join("] [")}]`);
  process.exit(2);
}

const told: string[] = [];
for (const each of asked.length > 0 ? asked : known) {
  const library = older[each];
  if (library === undefined) {
    told.push(...(await runOnServer(each)));
    continue;
  }
  try {
    const { version, passed } = await runOlder(library);
    told.push(`${passed ? "passed" : "FAILED"} on ${each} (${version})`);
  } catch (error) {
    told.push(`FAILED on ${each}: ${(error as Error).message}`);
  }
}
console.log(`\n${told.join("\n")}`);
process.exitCode = told.some((line) => line.startsWith("FAILED")) ? 1 : 0;

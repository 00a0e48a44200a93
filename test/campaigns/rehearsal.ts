/**
 * Follows docs/incident-guide.md on a table of the given size, and says how long each command took:
 *
 *   node test/campaigns/rehearsal.ts --database sqlite|postgres|mysql|mariadb [--rows 200000] [--users 200]
 *
 * The steps and commands are read from the page. Two servers run meanwhile, and users come back after each restart. It
 * fails when a command does, when the page shows another output, or when other users are logged in at the end than the
 * page says. The times are the command's own, with the start of its process, on a server of its own that does nothing else.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { Rehearsal, type Answer } from "../guides/rehearsal.ts";
import { fill, liveRow } from "./filling.ts";
import { ownDatabase, servers } from "./own-database.ts";

const { values } = parseArgs({
  options: {
    database: { type: "string", default: "" },
    rows: { type: "string", default: "200000" },
    users: { type: "string", default: "200" },
  },
});
if (![...servers, "sqlite"].includes(values.database)) {
  console.error("usage: rehearsal.ts --database sqlite|postgres|mysql|mariadb [--rows 200000] [--users 200]");
  process.exit(2);
}
const [rows, count] = [Number(values.rows), Number(values.users)];
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

await using database = await ownDatabase(values.database);
const { place } = database;

function run(words: readonly string[], keys: string): Promise<Answer> {
  const url = place.kind === "sqlite" ? `sqlite:${place.at}` : place.at;
  const env = { ...process.env, STORED_SESSION_DATABASE_URL: url, STORED_SESSION_KEYS: keys };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...words], { env, cwd: "/" }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err }),
    );
  });
}

const guides = [
  { heading: "The keys have leaked", stay: 0.9 },
  { heading: "The database and the keys have leaked", stay: 0 },
] as const;

console.log(`${values.database}, ${rows} rows, ${cpus().length} cores (${cpus()[0]?.model})`);
for (const { heading, stay } of guides) {
  console.log(`\n${heading}`);
  await using rehearsal = new Rehearsal(place, {
    run,
    onCommand(words, { out }, milliseconds) {
      const perMillion = (milliseconds * 1_000) / rows;
      console.log(`$ stored-session ${words.join(" ")}\n${out.trimEnd().replaceAll(/^/gm, "  ")}`);
      console.log(`  ${(milliseconds / 1_000).toFixed(1)} s, ${perMillion.toFixed(0)} s for a million rows`);
    },
  });
  const [server] = rehearsal.servers;
  await run(["migrate"], rehearsal.key);
  await run(["revoke", "--all", "--yes"], rehearsal.key);
  await fill(server!.store, rows, (nth) => liveRow(server!.manager as never, nth));
  for (let id = 0; id < count; id++) await rehearsal.logIn(`user ${id}`, "192.0.2.7", id % 10 === 0);
  const before = await rehearsal.loggedIn();
  await rehearsal.follow("incident-guide.md", heading);
  const after = await rehearsal.loggedIn();
  console.log(`  logged in before: ${before}, after: ${after}`);
  assert.equal(before, count);
  assert.equal(after, Math.floor(count * stay));
}

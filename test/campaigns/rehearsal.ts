/**
 * Follows docs/incident-guide.md on tables of the given size, and prints the table of times that the guide shows:
 *
 *   node test/campaigns/rehearsal.ts [--database postgres,mariadb] [--rows 200000] [--users 200] [--write]
 *
 * Without `--database`, on all four. The steps and commands are read from the page. Two servers run meanwhile, and users
 * come back after each restart. It fails when a command does, when the page shows another output, or when other users are
 * logged in at the end than the page says. The times are the command's own, with the start of its process, on a server of
 * its own that does nothing else. `--write` puts the times into the guide; run it on a quiet machine.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { Rehearsal, type Answer } from "../guides/rehearsal.ts";
import { fill, liveRow } from "./filling.ts";
import { ownDatabase, servers } from "./own-database.ts";
import { timesTable, withTimes, type Times } from "./times.ts";

const all = ["sqlite", ...servers];
const { values } = parseArgs({
  options: {
    database: { type: "string", default: all.join(",") },
    rows: { type: "string", default: "200000" },
    users: { type: "string", default: "200" },
    write: { type: "boolean", default: false },
  },
});
const databases = values.database.split(",");
if (!databases.every((name) => all.includes(name))) {
  console.error(
    "usage: rehearsal.ts [--database sqlite,postgres,mysql,mariadb] [--rows 200000] [--users 200] [--write]",
  );
  process.exit(2);
}
const [rows, count] = [Number(values.rows), Number(values.users)];
if (values.write && rows < 50_000) {
  console.error(
    "--write needs --rows 50000 or more: with fewer, the start of each process counts more than the rows.",
  );
  process.exit(2);
}
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

const guides = [
  { heading: "The keys have leaked", stay: 0.9 },
  { heading: "The database and the keys have leaked", stay: 0 },
] as const;

async function rehearse(name: string): Promise<Times> {
  await using database = await ownDatabase(name);
  const { place } = database;
  const times: Times = {};

  const run = (words: readonly string[], keys: string): Promise<Answer> => {
    const url = place.kind === "sqlite" ? `sqlite:${place.at}` : place.at;
    const env = { ...process.env, STORED_SESSION_DATABASE_URL: url, STORED_SESSION_KEYS: keys };
    return new Promise((resolve) => {
      execFile(process.execPath, [main, ...words], { env, cwd: "/" }, (error, out, err) =>
        resolve({
          code: error === null ? 0 : Number(error.code ?? 1),
          out,
          err: error?.signal ? `${err}\nIt was ended by ${error.signal}.` : err,
        }),
      );
    });
  };

  for (const { heading, stay } of guides) {
    console.log(`\n${name}: ${heading}`);
    await using rehearsal = new Rehearsal(place, {
      run,
      onCommand(words, { out }, milliseconds) {
        const command = words.join(" ");
        // Counted over a full table only; the second and later runs of `revoke --all` have little to delete.
        times[command] = Math.max(times[command] ?? 0, (milliseconds * 1_000) / rows);
        console.log(`$ stored-session ${command}\n${out.trimEnd().replaceAll(/^/gm, "  ")}`);
        console.log(`  ${(milliseconds / 1_000).toFixed(1)} s`);
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
  return times;
}

console.log(`${rows} rows, ${cpus().length} cores (${cpus()[0]?.model}), load ${loadavg()[0]!.toFixed(1)}`);
const measured: Record<string, Times> = {};
for (const name of databases) measured[name] = await rehearse(name);
console.log(`\nload at the end ${loadavg()[0]!.toFixed(1)}\n\n${timesTable(measured)}`);
if (values.write) {
  const page = new URL("../../docs/incident-guide.md", import.meta.url);
  writeFileSync(page, withTimes(readFileSync(page, "utf8"), measured));
  console.log("\nwritten to docs/incident-guide.md");
}

import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, test } from "vitest";
import { runCommand } from "../../src/cli/program.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { generateKey } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { manage, visit } from "../jobs/sessions.ts";
import { Folder } from "./command.ts";

const day = 86_400_000;

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => folder.remove());

test("R34 expire over many days → a progress bar with the remaining time", async () => {
  let time = Date.now() - 40 * day;
  const sessions = manage(sqliteStore(folder.file("sessions.sqlite3")), generateKey(), { clock: () => time });
  for (let nth = 0; nth < 4; nth++, time += 2 * day) await visit(sessions);
  await sessions.close();

  const [out, err] = [new PassThrough(), Object.assign(new PassThrough(), { isTTY: true, columns: 100 })];
  const terminal: Terminal = { out, err, in: new PassThrough(), env: { NO_COLOR: "1" }, cwd: folder.path };
  // One row a second, so that there is time to see it.
  const args = ["expire", "--batch-size", "1", "--rate", "1", "-d", "sqlite:sessions.sqlite3"];
  assert.equal(await runCommand(args, terminal), 0);
  assert.equal(String(out.read()), "Deleted 4 sessions.\n");
  assert.match(String(err.read()), /Deleting █+░+ {2}[1-9]\d%  \d sessions  \d\/s  \d+ seconds? left/);
});

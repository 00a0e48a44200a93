import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "vitest";
import { createSessionManager, type SessionManager } from "../../src/index.ts";
import { decodeRuby } from "../../src/rails/decode.ts";
import { railsFlash, railsFormat, railsStore } from "../../src/rails/index.ts";
import type { SessionStore } from "../../src/store/contract.ts";
import { cookieOf } from "../session/doubles.ts";
import { railsKeys } from "./gem.ts";

type Data = Record<string, unknown>;

const format = railsFormat(railsKeys);
let folder: string;
let store: SessionStore;
let sessions: SessionManager<Data>;
let conflicts: string[];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stored-session-rails-"));
  store = railsStore(join(folder, "rails.sqlite3"), { createTable: true });
  await store.migrate();
  conflicts = [];
  sessions = createSessionManager<Data>({
    store,
    format,
    cookie: { name: "_my_app_session", persist: false },
    onConflict: ({ key, mine }) => (conflicts.push(key), mine),
  });
});
afterEach(async () => {
  await sessions.close();
  rmSync(folder, { recursive: true });
});

async function visitor(flashes: Data): Promise<string> {
  const session = await sessions.load(null);
  session.data["n"] = 1;
  for (const [name, value] of Object.entries(flashes)) session.flash(name, value);
  return cookieOf(await sessions.commit(session));
}

/** What Ruby finds in the row. */
async function stored(cookie: string): Promise<unknown> {
  const [row] = await store.read([format.read(cookie.slice(cookie.indexOf("=") + 1))!.id]);
  return decodeRuby(format.open(row!, null));
}

const rows: [string, (session: Awaited<ReturnType<typeof sessions.load>>) => void][] = [
  ["railsFlash", (session) => assert.equal(railsFlash(session.data).notice, "Hi")],
  ["takeFlash", (session) => assert.equal(session.takeFlash("notice"), "Hi")],
];

for (const [how, show] of rows) {
  test(`Rails flash: a notice is read with ${how} while another request leaves an alert → the alert stays`, async () => {
    const cookie = await visitor({ notice: "Hi" });
    const shows = await sessions.load(cookie);
    const leaves = await sessions.load(cookie);
    show(shows);
    leaves.flash("alert", "Low");
    await sessions.commit(leaves);
    await sessions.commit(shows);
    assert.deepEqual(await stored(cookie), { n: 1, flash: { discard: [], flashes: { alert: "Low" } } });
    assert.equal((await sessions.load(cookie)).takeFlash("alert"), "Low");
    assert.deepEqual(conflicts, []);
  });

  test(`Rails flash: a notice is read with ${how} while another request leaves a newer notice → the newer one stays`, async () => {
    const cookie = await visitor({ notice: "Hi" });
    const shows = await sessions.load(cookie);
    const leaves = await sessions.load(cookie);
    show(shows);
    railsFlash(leaves.data).notice = "Saved";
    await sessions.commit(leaves);
    await sessions.commit(shows);
    assert.deepEqual(await stored(cookie), { n: 1, flash: { discard: [], flashes: { notice: "Saved" } } });
  });
}

test("Rails flash: an alert is left while another request shows the notice → only the alert is left", async () => {
  const cookie = await visitor({ notice: "Hi" });
  const shows = await sessions.load(cookie);
  const leaves = await sessions.load(cookie);
  leaves.flash("alert", "Low");
  railsFlash(shows.data);
  await sessions.commit(shows);
  await sessions.commit(leaves);
  assert.deepEqual(await stored(cookie), { n: 1, flash: { discard: [], flashes: { alert: "Low" } } });
});

test("Rails flash: both requests leave a message of their own → both are left", async () => {
  const cookie = await visitor({});
  const [one, two] = [await sessions.load(cookie), await sessions.load(cookie)];
  railsFlash(one.data).notice = "Hi";
  railsFlash(two.data).alert = "Low";
  await sessions.commit(one);
  await sessions.commit(two);
  assert.deepEqual(await stored(cookie), {
    n: 1,
    flash: { discard: [], flashes: { notice: "Hi", alert: "Low" } },
  });
});

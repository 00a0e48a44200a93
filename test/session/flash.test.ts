import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "vitest";
import type { SessionManager } from "../../src/index.ts";
import { cookieOf, testKeys } from "./doubles.ts";
import { eachStoreAndBinding, onSqlite, type Making, type TestStore } from "./stores.ts";

type Data = Record<string, unknown>;

eachStoreAndBinding(suite, onSqlite);

function suite(
  _name: string,
  create: () => Promise<TestStore>,
  { createSessionManager, user }: Making,
): void {
  let held: TestStore;
  let sessions: SessionManager<Data>;
  beforeEach(async () => {
    held = await create();
    sessions = createSessionManager<Data>({ store: held.store, keys: testKeys });
  });
  afterEach(async () => held.drop());

  async function visitor(flash: Data): Promise<string> {
    const session = await sessions.load(null);
    session.data["n"] = 1;
    if (user !== undefined) session.login(user);
    for (const [name, value] of Object.entries(flash)) session.flash(name, value);
    return cookieOf(await sessions.commit(session));
  }

  async function left(cookie: string, ...names: string[]): Promise<unknown[]> {
    const session = await sessions.load(cookie);
    return names.map((name) => session.takeFlash(name));
  }

  test("flash: a newer message of the name comes while one is shown → the newer one stays for the next page", async () => {
    const cookie = await visitor({ notice: "first" });
    const shows = await sessions.load(cookie);
    const leaves = await sessions.load(cookie);
    assert.equal(shows.takeFlash("notice"), "first");
    leaves.flash("notice", "second");
    await sessions.commit(leaves);
    await sessions.commit(shows);
    assert.deepEqual(await left(cookie, "notice"), ["second"]);
  });

  test("flash: a message is shown while another request leaves a newer one → the shown one does not come back", async () => {
    const cookie = await visitor({ notice: "first" });
    const shows = await sessions.load(cookie);
    const leaves = await sessions.load(cookie);
    assert.equal(shows.takeFlash("notice"), "first");
    leaves.flash("notice", "second");
    await sessions.commit(shows);
    await sessions.commit(leaves);
    assert.deepEqual(await left(cookie, "notice"), ["second"]);
  });

  test("flash: two requests show the same message → it is gone once", async () => {
    const cookie = await visitor({ notice: "first", alert: "low" });
    const [one, two] = [await sessions.load(cookie), await sessions.load(cookie)];
    assert.equal(one.takeFlash("notice"), "first");
    assert.equal(two.takeFlash("notice"), "first");
    await sessions.commit(one);
    await sessions.commit(two);
    assert.deepEqual(await left(cookie, "notice", "alert"), [undefined, "low"]);
  });

  test("flash: an update is under way while a message is shown → the newer message stays", async () => {
    const cookie = await visitor({ notice: "first" });
    const shows = await sessions.load(cookie);
    assert.equal(shows.takeFlash("notice"), "first");
    const leaves = await sessions.load(cookie);
    leaves.flash("notice", "second");
    await sessions.commit(leaves);
    await sessions.update(shows, (data) => void (data["n"] = 2));
    await sessions.commit(shows);
    assert.deepEqual(await left(cookie, "notice"), ["second"]);
  });
}

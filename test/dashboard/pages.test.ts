import { describe, expect, test } from "vitest";
import { StoreError } from "../../src/errors.ts";
import { recordsOf } from "../../src/manager.ts";
import { generateKey } from "../../src/sealing/keyring.ts";
import { idOf } from "../../src/session/handle.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { Browser as DeviceBrowser } from "../device-binding/world.ts";
import { Browser, everything, stores, world } from "./world.ts";

const textOf = (page: string): string =>
  page
    .replaceAll(/<(style|script|svg)[\s\S]*?<\/\1>/g, " ")
    .replaceAll(/<[^>]+>/g, " ")
    .replaceAll(/\s+/g, " ");

describe.each(stores)("dashboard on $name", ({ name, open }) => {
  test("logins, failures, ends and refusals → figures of the overview", async () => {
    await using created = await open();
    const it = world({ store: created.store });
    const browser = new Browser(it.handler);
    for (const user of ["alice", "alice", "bob"]) await it.login(user);
    await it.sessions.audit.record("login.failed", { identifier: "eve", reason: "wrong password" });
    await it.sessions.load("session=AAAA");
    await it.sessions.audit.checkpoint();
    await it.sessions.forUser("bob").revokeAll({ by: "admin", reason: "left" });
    for (const period of ["hour", "day", "month"]) {
      const path = `/?period=${period}`;
      await expect.poll(() => browser.text(path), { timeout: 20_000 }).not.toContain("still being counted");
      const text = textOf(await browser.text(path));
      expect(text, period).toMatch(/Live sessions 2 counted/);
      expect(text).toMatch(/Signed in 2 counted/);
      expect(text).toMatch(/Logins 3 Last/);
      expect(text).toMatch(/Failed logins 1 Last/);
      expect(text).toMatch(/Ended 1 Last/);
      expect(text).toMatch(/desktop 3/);
      // Three sessions began and one was revoked in the last column.
      expect(text).toMatch(/Time \(UTC\) Live, and ended but not deleted yet( [\d:-]+ 0)+ [\d:-]+ 2 /);
    }
  });

  test("a user → devices and history; one, all others and all sessions end, with actor and reason in the trail", async () => {
    await using created = await open();
    const it = world({ store: created.store });
    const browser = new Browser(it.handler);
    const handles = [];
    for (let device = 1; device <= 4; device++) {
      handles.push(
        await it.login("alice", { address: `203.0.113.${device}`, userAgent: `Device ${device}` }),
      );
      it.time.now += 1_000;
    }
    await it.login("bob");
    const page = textOf(await browser.text("/user?id=alice"));
    expect(page).toContain("4 live sessions");
    expect(page).toContain("Device 3");
    expect(page).toContain("aal1");
    expect(page).toContain("searching for a part of an id is impossible");
    expect(page).toMatch(/Login 2026-11-30/);

    const post = async (fields: Record<string, string>) => {
      const response = await browser.post("/user", { id: "alice", reason: "stolen laptop", ...fields });
      return new URL(response.headers.get("location")!, "http://x").searchParams.get("ended");
    };
    expect(await post({ action: "end", handle: handles[0]! })).toBe("1");
    expect(await post({ action: "end", handle: handles[0]! })).toBe("0");
    expect(await post({ action: "others", handle: handles[1]! })).toBe("2");
    expect((await it.sessions.forUser("alice").list()).map(({ handle }) => handle)).toEqual([handles[1]]);
    expect(await post({ action: "all" })).toBe("1");
    expect(await it.sessions.forUser("bob").list()).toHaveLength(1);
    const revoked = (await it.events()).filter(({ type }) => type === "session.revoked");
    expect(revoked).toHaveLength(4);
    expect(
      revoked.every(({ actor, reason }) => actor === "ada@example.org" && reason === "stolen laptop"),
    ).toBe(true);
  });

  test("end all others: the session to keep has a new id, has ended or is another user's → says so, and ends nothing", async () => {
    await using created = await open();
    const it = world({ store: created.store, idleTimeout: "1 h" });
    const idle = await it.login("alice");
    it.time.now += 2 * 3_600_000;
    const session = await it.sessions.load(null);
    session.login("alice");
    const cookie = (await it.sessions.commit(session))!.split(";")[0]!;
    const stale = session.handle;
    const again = await it.sessions.load(cookie);
    again.login("alice", { method: "password" });
    await it.sessions.commit(again);
    await it.login("alice");
    const other = await it.login("bob");
    expect(again.handle).not.toBe(stale);
    const browser = new Browser(it.handler);
    const before = await it.events();
    for (const handle of [stale, idle, other, "A".repeat(43), "x"]) {
      const fields = { id: "alice", handle, action: "others", reason: "stolen laptop" };
      const response = await browser.post("/user", fields);
      expect(response.status, handle).toBe(400);
      expect(await response.text()).toContain("This session has ended meanwhile. Nothing was changed.");
    }
    expect(await it.sessions.forUser("alice").list()).toHaveLength(2);
    expect(await it.events()).toEqual(before);
  });

  test.each([
    ["the session to keep gets a new id", "kept", 409],
    ["one of the others gets a new id", "other", 303],
  ] as const)(
    "end all others: meanwhile %s → it goes on, and no other is missed",
    async (_, which, status) => {
      await using created = await open();
      const { store } = created;
      const keys = generateKey();
      // The second one is another process.
      const [it, beside] = [world({ store, keys }), world({ store, keys })];
      const logIn = async () => {
        const session = await it.sessions.load(null);
        session.login("alice");
        return (await it.sessions.commit(session))!.split(";")[0]!;
      };
      const cookies = { kept: await logIn(), other: await logIn(), third: await logIn() };
      const { handle } = await it.sessions.load(cookies.kept);
      const browser = new Browser(it.handler);
      const token = await browser.token();
      const send = (kept: string) =>
        browser.post("/user", {
          token,
          id: "alice",
          handle: kept,
          action: "others",
          reason: "stolen laptop",
        });
      let moved = null as string | null;
      const commit = store.audit!.commit.bind(store.audit);
      store.audit!.commit = async (changes, append) => {
        if (moved === null && changes.some(({ kind }) => kind === "deleteByUser")) {
          const session = await beside.sessions.load(cookies[which]);
          session.elevate();
          moved = "";
          await beside.sessions.commit(session);
          moved = session.handle;
        }
        return commit(changes, append);
      };
      const response = await send(handle);
      expect(moved).not.toBeNull();
      expect(response.status).toBe(status);
      const kept = which === "kept" ? moved! : handle;
      const left = async () => (await it.sessions.forUser("alice").list()).map((info) => info.handle);
      expect(await left()).toContain(kept);
      if (which === "kept") {
        expect(await response.text()).toMatch(
          /Not finished[\s\S]*the session to keep got a new id, or ended/,
        );
        expect((await send(kept)).status).toBe(303);
      }
      expect(await left()).toEqual([kept]);
    },
  );

  test("R48: a handle of another length than that of a row's id → no event has it, and the trail stays whole", async () => {
    await using created = await open();
    const it = world({ store: created.store });
    await it.login("alice");
    await it.sessions.audit.checkpoint();
    const browser = new Browser(it.handler);
    const before = await it.events();
    for (const length of [16, 22, 44, 256]) {
      const handle = Buffer.alloc(Math.floor((length * 3) / 4), 7).toString("base64url");
      const page = await browser.get(`/session?handle=${handle}`);
      expect(page.status, handle).toBe(200);
      expect(await page.text()).toContain("This is not the handle of a session");
      for (const action of ["reveal", "end"]) {
        const response = await browser.post("/session", { handle, action, reason: "why" });
        expect(response.status, action).toBe(400);
      }
    }
    expect(await it.events()).toEqual(before);
    expect((await it.sessions.audit.verify()).problems).toEqual([]);
  });

  test("events → pages of 50 by keyset: each event once, in order, also where many have the same time", async () => {
    await using created = await open();
    const it = world({ store: created.store });
    for (let at = 0; at < 130; at++) {
      await it.sessions.audit.record("login.failed", { identifier: `n${at}` });
      if (at % 40 === 0) it.time.now += 1;
    }
    const browser = new Browser(it.handler);
    const seen: string[] = [];
    let path: string | undefined = "/audit?type=login.failed";
    while (path !== undefined) {
      const page: string = await browser.text(path);
      seen.push(...[...page.matchAll(/<q>(n\d+)<\/q>/g)].map(([, found]) => found!));
      const next = /rel="next" href="\/admin\/sessions([^"]+)"/.exec(page)?.[1]?.replaceAll("&amp;", "&");
      path = next;
    }
    expect(seen).toHaveLength(130);
    expect(new Set(seen).size).toBe(130);
  });

  test("a user and a session looked at 101 times → their timelines still show the login and its level", async () => {
    await using created = await open();
    // Only the cookie opens these sessions, so their level comes from the history.
    const it = world({ store: created.store, sealTo: "cookie" });
    const handle = await it.login("alice");
    const trail = recordsOf(it.sessions as never).recorder!.trail;
    for (let at = 0; at < 101; at++) {
      it.time.now += 1_000;
      await trail.record({ type: "trail.read", who: { user: "alice" }, session: idOf(handle)!, content: {} });
    }
    const browser = new Browser(it.handler);
    expect(textOf(await browser.text(`/session?handle=${handle}`))).toMatch(/Life .*Login 2026-11-30/);
    const page = textOf(await browser.text("/user?id=alice"));
    expect(page).toMatch(/aal1 Details/);
    expect(page).toMatch(/History .*Login 2026-11-30/);
    expect(page).not.toContain("Audit trail read");
  });

  test("keys and jobs → oldest expired session, leases, and an exact count by key", async () => {
    await using created = await open();
    const older = generateKey();
    const first = world({ store: created.store, keys: older, idleTimeout: "1 h" });
    for (let at = 0; at < 3; at++) await first.login(`u${at}`);
    const it = world({ store: created.store, keys: [generateKey(), older], idleTimeout: "1 h" });
    it.time.now = first.time.now + 2 * 3_600_000;
    await it.login("new");
    const browser = new Browser(it.handler);
    expect(textOf(await browser.text("/keys"))).toMatch(
      /ended 60 minutes ago, not deleted yet|ended 1 hour ago, not deleted yet/,
    );
    expect(textOf(await browser.text("/keys"))).toMatch(/25%, of all 4 sessions/);
    const counted = textOf(await (await browser.post("/keys", { action: "count" })).text());
    expect(counted).toMatch(/newest 1 0/);
    expect(counted).toMatch(/older 0 3/);
    await it.sessions.expire({ exclusive: true });
    const after = textOf(await browser.text("/keys"));
    expect(after).toContain("none waits to be deleted");
    if (name !== "memory") expect(after).toMatch(/expire Deletes expired sessions no process ended just now/);
  });

  test("the expiry job is late → the overview says how many wait and how long; a job that died shows as cut short", async () => {
    await using created = await open();
    const it = world({ store: created.store, idleTimeout: "1 h" });
    for (let at = 0; at < 3; at++) await it.login(`u${at}`);
    it.time.now += 3 * 3_600_000;
    await it.login("new");
    await created.store.lease("expire", "a".repeat(36), it.time.now - 60_000, it.time.now - 120_000);
    const browser = new Browser(it.handler);
    expect(textOf(await browser.text("/"))).toMatch(/Ended, not deleted yet 3 Longest wait 2 hours/);
    if (name === "memory") return;
    expect(textOf(await browser.text("/keys"))).toContain("was cut short: its lease ended 1 minute ago");
  });

  test("promise 7: the database can lose acknowledged sessions → the overview and the page of keys say under which settings", async () => {
    await using created = await open();
    const { store } = created;
    const it = world({ store });
    const browser = new Browser(it.handler);
    const real = (await store.durabilityWarnings?.()) ?? [];
    for (const path of ["/", "/keys"]) {
      const text = textOf(await browser.text(path));
      for (const warning of real) expect(text).toContain(warning);
      if (real.length === 0) expect(text).not.toContain("can lose acknowledged sessions");
    }
    let asked = 0;
    store.durabilityWarnings = async () => (asked++, ["fsync is off, so a power loss can destroy <it>."]);
    it.time.now += 10 * 60_000;
    for (const path of ["/", "/keys", "/"])
      expect(await browser.text(path)).toContain("fsync is off, so a power loss can destroy &lt;it&gt;.");
    expect(asked).toBe(1);
  });

  test("a user without history → level and device binding come from the sessions themselves", async () => {
    await using created = await open();
    const it = world({
      store: created.store,
      audit: false,
      cookie: {},
      deviceBinding: { mode: "offer" },
    });
    await new DeviceBrowser(it.sessions).bind("alice");
    await it.login("bob", { userAgent: "Phone" });
    const browser = new Browser(it.handler);
    expect(textOf(await browser.text("/user?id=alice"))).toMatch(
      /Unknown device unknown address device-bound/,
    );
    const text = textOf(await browser.text("/user?id=bob"));
    expect(text).not.toContain("device-bound");
    expect(text).toMatch(/Phone .* aal1 Details/);
    const [info] = await it.sessions.forUser("bob").list();
    expect(textOf(await browser.text(`/session?handle=${info!.handle}`))).toMatch(
      /Level of the login aal1 Device-bound no/,
    );
  });
});

describe("dashboard: sessions", () => {
  test("one of 250 sessions is under an older key → neither 0% nor 100% on any page", async () => {
    const [store, older] = [memoryStore(), generateKey()];
    await world({ store, keys: older }).login("alice");
    const it = world({ store, keys: [generateKey(), older] });
    for (let at = 0; at < 249; at++) await it.login(`u${at}`);
    const browser = new Browser(it.handler);
    expect(textOf(await browser.text("/"))).toMatch(/newest over 99% .* older under 1%/);
    expect(textOf(await browser.text("/keys"))).toMatch(/99%, of all 250 sessions/);
  });

  test("sessions were imported → the chart of stored sessions has them from then on, and not before", async () => {
    const [store, keys] = [memoryStore(), generateKey()];
    const it = world({ store, keys });
    for (const user of ["alice", "bob", "carol"]) await it.login(user);
    // An import records one event for all its sessions.
    const imported = world({ store, keys, audit: false });
    for (const user of ["dan", "eve"]) await imported.login(user);
    const trail = recordsOf(it.sessions as never).recorder!.trail;
    await trail.record({ type: "sessions.imported", count: 2, content: { reason: "finished" } });
    const browser = new Browser(it.handler);
    await expect.poll(() => browser.text("/?period=hour")).not.toContain("still being counted");
    const text = textOf(await browser.text("/?period=hour"));
    expect(text).toMatch(/Time \(UTC\) Live, and ended but not deleted yet( [\d:]+ 0){11} [\d:]+ 5 /);
  });

  test("R48, promise 8: the trail is lax and its queue is full or the store fails → nothing is revealed without its event", async () => {
    const store = memoryStore();
    const it = world({ store, audit: { mode: "lax", maxQueue: 1 } });
    const session = await it.sessions.load(null);
    Object.assign(session.data, { cart: ["oolong"] });
    session.login("alice");
    await it.sessions.commit(session);
    const browser = new Browser(it.handler);
    const token = await browser.token();
    const reveal = (reason: string) =>
      browser.post("/session", { token, handle: session.handle, action: "reveal", reason });
    const commit = store.audit!.commit.bind(store.audit);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    // What fills the queue waits, and so does the event of the look.
    store.audit!.commit = async (...given) => (await gate, commit(...given));
    for (let at = 0; at < 5; at++) await it.sessions.audit.record("login.failed", { identifier: `n${at}` });
    let isShown = false;
    const shown = reveal("ticket 1").then((response) => ((isShown = true), response.text()));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isShown).toBe(false);
    open();
    expect(await shown).toContain("oolong");
    const revealed = async () => (await it.events()).filter(({ type }) => type === "data.revealed");
    expect((await revealed()).map(({ reason }) => reason)).toEqual(["ticket 1"]);

    store.audit!.commit = () => Promise.reject(new StoreError("The disk is full.", { outcome: "none" }));
    const refused = await reveal("ticket 2");
    expect(refused.status).toBe(503);
    expect(await refused.text()).not.toContain("oolong");
    store.audit!.commit = commit;
    expect(await revealed()).toHaveLength(1);
  });

  test("R48: a session is bound to a device → the events name the thumbprint of its key", async () => {
    const it = world({ cookie: {}, deviceBinding: { mode: "offer" } });
    await new DeviceBrowser(it.sessions).bind("alice");
    const [event] = (await it.events()).filter(({ type }) => type === "session.bound");
    const page = await new Browser(it.handler).text("/audit");
    expect(page).toContain("Bound to a device");
    expect(page).toContain(`key <code>${event!.details!["thumbprint"]}</code>`);
  });

  test("R48, R54: reveal → needs a reason, is recorded before it is shown, and shows nothing without", async () => {
    const it = world();
    const session = await it.sessions.load(null);
    Object.assign(session.data, { cart: ["oolong"] });
    session.login("alice");
    await it.sessions.commit(session);
    const { handle } = session;
    const browser = new Browser(it.handler);
    expect(await browser.text(`/session?handle=${handle}`)).not.toContain("oolong");
    const without = await browser.post("/session", { handle, action: "reveal", reason: " " });
    expect(without.status).toBe(400);
    expect(await without.text()).not.toContain("oolong");
    const page = await (
      await browser.post("/session", { handle, action: "reveal", reason: "ticket 12" })
    ).text();
    expect(page).toContain("oolong");
    const event = (await it.events()).find(({ type }) => type === "data.revealed");
    expect(event).toMatchObject({
      actor: "ada@example.org",
      reason: "ticket 12",
      user: "alice",
      session: handle,
    });
  });

  test("R48: the trail is off → nothing is revealed, and no page or form says that something is recorded", async () => {
    const it = world({ audit: false });
    const session = await it.sessions.load(null);
    Object.assign(session.data, { cart: ["oolong"] });
    session.login("alice");
    await it.sessions.commit(session);
    const { handle } = session;
    const browser = new Browser(it.handler);
    const pages = [];
    for (const path of ["/", "/user?id=alice", `/session?handle=${handle}`, "/audit", "/keys"])
      pages.push(await browser.text(path));
    expect(pages[2]).toContain("the trail is off");
    const response = await browser.post("/session", { handle, action: "reveal", reason: "ticket 12" });
    expect(response.status).toBe(400);
    const refused = await response.text();
    expect(refused).toContain("The audit trail is off, so nothing would record that you looked");
    for (const page of [...pages, refused])
      expect(page).not.toMatch(/is recorded|for the audit trail|value="reveal"|oolong/);
    // Ending asks for no reason that nobody could read.
    expect((await browser.post("/session", { handle, action: "end" })).status).toBe(303);
    expect(await it.sessions.count()).toBe(0);
  });

  test("sealed to the cookie → nothing to reveal, and the page says why", async () => {
    const it = world({ sealTo: "cookie" });
    const handle = await it.login("alice");
    const browser = new Browser(it.handler);
    expect(await browser.text(`/session?handle=${handle}`)).toContain("Nobody but its owner can open it");
    expect((await browser.post("/session", { handle, action: "reveal", reason: "x" })).status).toBe(400);
  });

  test("a session of another application in the same table → is not found", async () => {
    const store = memoryStore();
    const keys = generateKey();
    const [shop, office] = [world({ store, keys, app: "shop" }), world({ store, keys, app: "office" })];
    const handle = await office.login("alice");
    const browser = new Browser(shop.handler);
    expect(await browser.text(`/session?handle=${handle}`)).toContain(
      "No session is stored under this handle",
    );
    expect((await browser.post("/session", { handle, action: "end", reason: "x" })).status).toBe(400);
    expect(await office.sessions.forUser("alice").list()).toHaveLength(1);
  });

  test.each(["/user?id=alice&ended=99", "/session?handle=HANDLE&ended=1"])(
    "a made-up link %s → the page claims nothing that did not happen",
    async (path) => {
      const it = world();
      const handle = await it.login("alice");
      const text = textOf(await new Browser(it.handler).text(path.replace("HANDLE", handle)));
      expect(text).toContain("End requested. What this page shows is current.");
      expect(text).not.toMatch(/session was ended|99 sessions/);
    },
  );

  test("a session gets a new id while an operator ends it → says so, and does not claim that it ended", async () => {
    const store = memoryStore();
    const it = world({ store });
    const session = await it.sessions.load(null);
    session.login("alice");
    const cookie = (await it.sessions.commit(session))!.split(";")[0]!;
    const browser = new Browser(it.handler);
    const token = await browser.token();
    const records = recordsOf(it.sessions as never);
    const read = records.store.read.bind(records.store);
    const again = await it.sessions.load(cookie);
    records.store.read = (async (given: never) => {
      const found = await read(given);
      records.store.read = read;
      again.login("alice", { method: "password" });
      await it.sessions.commit(again);
      return found;
    }) as typeof read;
    const fields = { token, handle: session.handle, action: "end", reason: "stolen laptop" };
    const response = await browser.post("/session", fields);
    expect(again.handle).not.toBe(session.handle);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("The session has ended meanwhile. Nothing was changed.");
    expect(await it.sessions.forUser("alice").list()).toHaveLength(1);
  });

  test("end all sessions → a typed confirmation, a reason, and a fresh login where `session` is given", async () => {
    const it = world({}, { confirmAt: "/confirm" });
    const session = await it.sessions.load(null);
    session.login("ada");
    const cookie = (await it.sessions.commit(session))!.split(";")[0]!;
    await it.login("alice");
    it.access = { actor: "ada", may: everything, session: await it.sessions.load(cookie) };
    const browser = new Browser(it.handler);
    const fields = { action: "endAll", reason: "key leaked", confirm: "end all sessions" };
    const warning = "so are the users of every other application that keeps its sessions in the same table";
    expect(textOf(await browser.text("/keys"))).toContain(warning);
    expect((await browser.post("/keys", { ...fields, confirm: "yes" })).status).toBe(400);
    expect((await browser.post("/keys", { ...fields, reason: "" })).status).toBe(400);
    it.time.now += 6 * 60_000;
    expect((await browser.post("/keys", fields)).status).toBe(403);
    expect(textOf(await browser.text("/keys"))).toContain(warning);
    expect(await browser.text("/keys")).toContain(`href="/confirm?return_to=%2Fadmin%2Fsessions%2Fkeys"`);
    expect(await it.sessions.count()).toBe(2);
    it.time.now -= 6 * 60_000;
    expect(await (await browser.post("/keys", fields)).text()).toContain("2 sessions ended.");
    expect(await it.sessions.count()).toBe(0);
  });
});

describe("dashboard: the audit trail", () => {
  test("verify → streams the verdict, and names what was changed", async () => {
    const it = world();
    await it.login("alice");
    await it.sessions.audit.checkpoint();
    const browser = new Browser(it.handler);
    expect(await (await browser.post("/audit", { action: "verify" })).text()).toContain(
      "Nothing was changed.",
    );
  });

  test.each([
    { path: "/keys", action: "count", reason: "count of every session", done: "Counted at" },
    { path: "/audit", action: "verify", reason: "verify", done: "Nothing was changed." },
  ])(
    "R48: $action reads a whole table → recorded, and one at a time in a process, also after a failure or a closed page",
    async ({ path, action, reason, done }) => {
      const store = memoryStore();
      const it = world({ store });
      it.access = { actor: "ada@example.org", may: action === "count" ? ["view"] : ["view", "audit"] };
      await it.login("alice");
      const browser = new Browser(it.handler);
      const token = await browser.token();
      const post = () => browser.post(path, { token, action });
      const records = recordsOf(it.sessions as never);
      const read = records.store.scanInfo.bind(records.store);
      const find = store.audit!.heads.bind(store.audit);
      const { promise: gate, resolve: open } = Promise.withResolvers<void>();
      let running = 0;
      records.store.scanInfo = async (...given) => (running++, await gate, read(...given));
      store.audit!.heads = async (...given) => (running++, await gate, find(...given));
      const first = (await post()).text();
      await expect.poll(() => running).toBe(1);
      expect(await (await post()).text()).toContain("is running already");
      expect(running).toBe(1);
      open();
      expect(await first).toContain(done);
      const closed = (await post()).body!.getReader();
      for (let part = 0; part < 2; part++) await closed.read();
      await closed.cancel();
      await expect.poll(async () => (await post()).text()).toContain(done);
      const recorded = (await it.events()).filter(({ type }) => type === "trail.read");
      expect(recorded.length).toBeGreaterThanOrEqual(2);
      expect(recorded.every((event) => event.reason === reason && event.actor === "ada@example.org")).toBe(
        true,
      );
    },
  );

  test("R48: reading events → each page is recorded with its reader, also one with an `after` of the client's choice", async () => {
    const it = world();
    await it.login("alice");
    const browser = new Browser(it.handler);
    await browser.text("/user?id=alice");
    await browser.text("/audit");
    for (const number of ["0", "01", "0".repeat(16)]) {
      const page = await browser.get(`/audit?after=1.${"A".repeat(32)}:${number}`);
      expect(page.status, number).toBe(200);
    }
    const made = await browser.text(`/audit?user=alice&after=999999999999999.${"A".repeat(32)}:1`);
    expect(made).toContain("Login");
    await browser.post("/audit", { action: "export", format: "json" });
    const read = (await it.events()).filter(({ type }) => type === "trail.read");
    expect(read.map(({ reason }) => reason)).toEqual([
      "history of a user",
      ...Array(5).fill("list"),
      "export as json",
    ]);
    expect(read[5]!.user).toBe("alice");
    expect(read.every(({ actor }) => actor === "ada@example.org")).toBe(true);
  });

  test("the trail is off → every page says how to turn it on", async () => {
    const it = world({ audit: false });
    await it.login("alice");
    const browser = new Browser(it.handler);
    for (const path of ["/", "/user?id=alice", "/audit"]) {
      expect(await browser.text(path), path).toContain("The audit trail is off");
    }
    expect((await browser.post("/user", { id: "alice", action: "all", reason: "x" })).status).toBe(303);
    expect(await it.sessions.count()).toBe(0);
  });

  test("nothing is stored yet → empty states, no NaN and no error", async () => {
    const browser = new Browser(world().handler);
    for (const path of ["/", "/user", "/user?id=nobody", "/session?handle=x", "/audit", "/keys"]) {
      const text = textOf(await browser.text(path));
      expect(text, path).not.toMatch(/NaN|undefined|null|Infinity/);
    }
    expect(textOf(await browser.text("/"))).toContain("No sessions are stored yet");
  });
});

describe("dashboard: a store that is down", () => {
  test("promise 8: every page → 503 as a page that says what to do", async () => {
    const store = memoryStore();
    const it = world({ store });
    await it.login("alice");
    const browser = new Browser(it.handler);
    const token = await browser.token();
    const down = () =>
      Promise.reject(new StoreError("The server closed the connection.", { outcome: "none" }));
    store.scanInfo = down;
    store.read = down;
    store.listByUser = down;
    store.deleteByUser = down;
    Object.assign(store.audit!, { find: down, commit: down, count: down });
    for (const path of ["/", "/live", "/user?id=alice", "/audit", "/keys"]) {
      const response = await browser.get(path);
      expect(response.status, path).toBe(503);
      expect(await response.text()).toContain("The session store does not answer");
    }
    const response = await browser.post("/user", { token, id: "alice", action: "all", reason: "x" });
    expect(response.status).toBe(503);
  });
});

/** What the trail does when its store fails, its clock is wrong, or many events come at once. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { decodeCheckpoint, publicKeysOfRing } from "../../src/audit/checkpoint.ts";
import { prune } from "../../src/audit/prune.ts";
import { rawLines, readLine } from "../../src/audit/raw.ts";
import { Verifier } from "../../src/audit/verify.ts";
import { readEvents } from "../../src/audit/reading.ts";
import { createSessionManager, generateKey, memoryStore, StoreUnavailableError } from "../../src/index.ts";
import { Writer } from "../../src/audit/writer.ts";
import { chainOf, positionOf } from "../../src/store/audit.ts";
import { login, world, type World } from "./world.ts";
import type { AuditEvent } from "../../src/audit/events.ts";
import type { Trail } from "../../src/audit/trail.ts";
import type { SessionManager } from "../../src/manager.ts";
import type { SessionStore } from "../../src/store/contract.ts";

afterEach(() => vi.restoreAllMocks());

type Name = "addSubjects" | "subjectsOf" | "addCheckpoint" | "commit" | "rewrap" | "eraseSubjects";

/** A store in memory whose next calls of a method do something else first. */
function failing(): { store: SessionStore; before: Partial<Record<Name, () => unknown>> } {
  const below = memoryStore();
  const before: Partial<Record<Name, () => unknown>> = {};
  const audit = new Proxy(below.audit!, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]): Promise<unknown> => {
        await before[name as Name]?.();
        return await (value as (...given: unknown[]) => Promise<unknown>).apply(target, args);
      };
    },
  });
  const store = new Proxy(below, {
    get(target, name) {
      if (name === "audit") return audit;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  return { store, before };
}

const down = (): never => {
  throw new StoreUnavailableError("The database is down.");
};

async function eventsOf(trail: Trail): Promise<readonly AuditEvent[]> {
  const { subjects } = await trail.engine();
  return await readEvents(await trail.settings.store.find({ limit: 10_000 }), subjects);
}

/** @param timeout milliseconds after which it gives a batch up */
async function writerOf(it: World, store: SessionStore, timeout: number): Promise<Writer> {
  const { subjects } = await it.trail(store).engine();
  return new Writer({
    store: store.audit!,
    keys: it.keys,
    subjects,
    clock: () => it.now,
    timeout,
    process: {},
  });
}

async function all(sessions: SessionManager): Promise<AuditEvent[]> {
  const events = [];
  for await (const event of sessions.audit.list()) events.push(event);
  return events;
}

async function signIn(sessions: SessionManager, user: string, cookie?: string): Promise<string> {
  const session = await sessions.load(cookie ?? null);
  session.login(user);
  return (await sessions.commit(session))!.split(";")[0]!;
}

describe("audit trail: failures of the store", () => {
  test("R48: a user's key could not be stored, and the login is repeated → its event can be read", async () => {
    const { store, before } = failing();
    const trail = world().trail(store);
    await trail.record({ type: "session.created" });
    before.addSubjects = down;
    await expect(trail.record(login("42"))).rejects.toThrow("The database is down.");
    delete before.addSubjects;
    await trail.record(login("42"));
    const events = await eventsOf(trail);
    expect(events.at(-1)).toMatchObject({ type: "login", user: "42", unreadable: null });
    expect(await trail.verify()).toMatchObject({ ok: true });
    await trail.close();
  });

  test("R49: a checkpoint could not be stored → the next one covers its events, although their process has ended", async () => {
    const { store, before } = failing();
    const it = world();
    const [ended, signer] = [it.trail(store), it.trail(store)];
    await signer.record(login("1"));
    await signer.checkpoint();
    await ended.record(login("42"));
    before.addCheckpoint = down;
    await expect(signer.checkpoint()).rejects.toThrow("The database is down.");
    delete before.addCheckpoint;
    const anchored = await signer.checkpoint();
    assert.ok(anchored !== null);
    expect(decodeCheckpoint(Buffer.from(anchored.body, "base64"))!.heads).toHaveLength(1);
    expect(await signer.verify()).toMatchObject({ ok: true, uncovered: 0 });
    await signer.close();
  });

  test("R49: batches wait longer than `storeTimeout` behind others that are not slow → one chain, one batch at a time", async () => {
    const { store, before } = failing();
    const it = world();
    let underWay = 0;
    let most = 0;
    before.commit = async () => {
      most = Math.max(most, ++underWay);
      await pause(5);
      underWay--;
    };
    const writer = await writerOf(it, store, 40);
    const drafts = () => [{ type: "logout" } as const];
    const entry = { change: { kind: "delete", id: new Uint8Array(32) } as const, whos: [], drafts };
    await Promise.all(Array.from({ length: 60 }, () => writer.write([entry])));
    expect(most).toBe(1);
    expect(await store.audit!.heads()).toHaveLength(1);
  });

  test("R49: a batch is given up while it asks for keys → it changes nothing, and the next batch has a chain of its own", async () => {
    const { store, before } = failing();
    const it = world();
    const held = Promise.withResolvers<void>();
    const writer = await writerOf(it, store, 20);
    const entry = (user: string) => ({ change: null, whos: [{ user }], drafts: () => [login(user)] });
    before.subjectsOf = () => held.promise;
    const slow = writer.write([entry("1")]);
    slow.catch(() => {});
    await pause(1);
    delete before.subjectsOf;
    await writer.write([entry("2")]);
    held.resolve();
    await expect(slow).rejects.toMatchObject({ code: "ERR_STORED_SESSION_STORE_TIMEOUT", outcome: "none" });
    await writer.write([entry("3")]);
    expect(await store.audit!.heads()).toHaveLength(1);
    expect(await store.audit!.find({ events: [2], limit: 10 })).toHaveLength(2);
  });

  test("R49: a batch is given up while it asks for keys, and goes on while the next one is sent → it changes nothing", async () => {
    const { store, before } = failing();
    const it = world();
    const held = Promise.withResolvers<void>();
    const committing = Promise.withResolvers<void>();
    const writer = await writerOf(it, store, 20);
    const entry = (user: string) => ({ change: null, whos: [{ user }], drafts: () => [login(user)] });
    before.subjectsOf = () => held.promise;
    const slow = writer.write([entry("1")]);
    slow.catch(() => {});
    await pause(60); // given up, and nothing waits behind it
    delete before.subjectsOf;
    before.commit = () => committing.promise;
    held.resolve();
    const next = writer.write([entry("2")]);
    await pause(1);
    committing.resolve();
    await expect(slow).rejects.toMatchObject({ code: "ERR_STORED_SESSION_STORE_TIMEOUT" });
    await next;
    expect(await store.audit!.find({ events: [2], limit: 10 })).toHaveLength(1);
  });

  test("erase: it cannot be recorded → no key is destroyed, in both modes", async () => {
    for (const mode of ["strict", "lax"] as const) {
      const { store, before } = failing();
      const sessions = createSessionManager({ store, keys: generateKey(), audit: { mode } });
      await signIn(sessions, "42");
      await expect.poll(async () => (await all(sessions)).length).toBeGreaterThan(2);
      before.commit = down;
      await expect(sessions.audit.erase("42")).rejects.toThrow("The database is down.");
      delete before.commit;
      expect((await all(sessions)).map(({ unreadable }) => unreadable)).not.toContain("erased");
      expect(await sessions.audit.erase("42")).toBe(1);
      const events = await all(sessions);
      expect(events.at(-1)).toMatchObject({ type: "trail.erased" });
      expect(events.map(({ unreadable }) => unreadable)).toContain("erased");
      expect(await sessions.audit.verify()).toMatchObject({ ok: true });
      await sessions.close();
    }
  });

  test("reseal: the store fails after some keys of the trail → outcome unknown", async () => {
    const { store, before } = failing();
    const [older, newer] = [generateKey(), generateKey()];
    const first = createSessionManager({ store, keys: older, audit: true });
    await signIn(first, "42");
    const second = createSessionManager({ store, keys: `${newer},${older}`, audit: true });
    await second.reseal();
    const third = createSessionManager({ store, keys: `${generateKey()},${newer}`, audit: true });
    let rewrapped = 0;
    before.rewrap = () => {
      if (rewrapped++ > 0) down();
    };
    await store.delete((await store.scan(null, 100)).map(({ id }) => id));
    await expect(third.reseal()).rejects.toMatchObject({ outcome: "unknown", changed: undefined });
    delete before.rewrap;
    expect(await third.reseal()).toMatchObject({ finished: true });
  });
});

describe("audit trail: users", () => {
  test("R48: the first event of a user knew their reference only → later events name the user, in every process", async () => {
    const it = world();
    const store = memoryStore();
    const [one, other] = [it.trail(store), it.trail(store)];
    const userRef = it.keys.userRefs("42")[0]!;
    for (const trail of [one, other]) await trail.record({ type: "session.expired.idle", who: { userRef } });
    for (const trail of [one, other]) await trail.record(login("42"));
    const before = { userRef: it.keys.userRefs("43")[0]! };
    const after = { user: "43", ...before };
    const drafts = () => [{ type: "logout", who: before } as const, { ...login("43"), who: after }];
    await one.write([{ change: null, whos: [before, after], drafts }]);
    const users = (await eventsOf(one)).filter(({ type }) => !type.startsWith("trail."));
    expect(users.map(({ user }) => user).toSorted()).toEqual(["42", "42", "42", "42", "43", "43"]);
    expect(await store.audit!.scanSubjects(null, 10), "two users and two chains").toHaveLength(4);
    expect(await one.verify()).toMatchObject({ ok: true });
    await one.close();
    await other.close();
  });
});

describe("audit trail: content", () => {
  test("R48, promise 10: the longest texts in characters of three bytes, and values without text → recorded", async () => {
    for (const mode of ["strict", "lax"] as const) {
      const sessions = createSessionManager({ store: memoryStore(), keys: generateKey(), audit: { mode } });
      const text = "文".repeat(2_000);
      const many = Array.from({ length: 40 }, (_, index) => [`${"名".repeat(70)}${index}`, text]);
      await sessions.audit.record("login.failed", {
        identifier: text,
        reason: text,
        method: text,
        level: text,
        requestId: text,
        actor: text,
        factors: many.map(() => text),
        details: { none: Object.create(null) as string, ...Object.fromEntries(many) },
      });
      await sessions.audit.record("login.failed", { identifier: "last" });
      await expect
        .poll(async () => (await all(sessions)).map(({ identifier }) => identifier?.slice(0, 4)))
        .toEqual([undefined, "文文文文", "last"]);
      await sessions.close();
    }
  });

  test("a count beyond the column → the largest that it holds", async () => {
    const trail = world().trail(memoryStore());
    await trail.record({ type: "refusal", count: 2 ** 40 });
    expect((await eventsOf(trail)).at(-1)!.count).toBe(2 ** 31 - 1);
    expect(await trail.verify()).toMatchObject({ ok: true });
    await trail.close();
  });
});

test("audit.on: a listener throws, or its promise rejects → a process warning, and the others are called", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const sessions = createSessionManager({ store: memoryStore(), keys: generateKey(), audit: true });
  const seen: string[] = [];
  sessions.audit.on(() => {
    throw new Error("thrown");
  });
  sessions.audit.on(async () => {
    await pause(1);
    throw new Error("rejected");
  });
  sessions.audit.on(({ type }) => void seen.push(type));
  await sessions.audit.record("login.failed");
  await expect.poll(() => warned.mock.calls.length).toBe(4);
  expect(warned.mock.calls.map(([message]) => String(message)).join()).toMatch(/thrown[^]*rejected/);
  expect(seen).toEqual(["trail.started", "login.failed"]);
  await sessions.close();
});

test("R48, promise 10: a flood of events that the application reports → written together, and shed beyond 10,000 that wait", async () => {
  const { store, before } = failing();
  const held = Promise.withResolvers<void>();
  let commits = 0;
  before.commit = () => {
    commits++;
    return held.promise;
  };
  const sessions = createSessionManager({ store, keys: generateKey(), audit: true });
  const writes = Array.from({ length: 10_500 }, () => sessions.audit.record("login.failed"));
  const settled = Promise.allSettled(writes);
  await pause(1);
  held.resolve();
  const shed = (await settled).filter((one) => one.status === "rejected");
  expect(shed.length).toBeGreaterThan(0);
  for (const { reason } of shed) {
    expect(reason).toMatchObject({ code: "ERR_STORED_SESSION_STORE_OVERLOADED", outcome: "none" });
  }
  expect(commits).toBeLessThan(500);
  const failed = await sessions.audit.days();
  expect(failed.find(({ type }) => type === "login.failed")!.count).toBe(10_500 - shed.length);
  await sessions.close();
});

test("R49: the clock was days ahead when a chain began → it ends within a day after the correction", async () => {
  const it = world();
  const store = memoryStore();
  const right = it.now;
  it.now += 20 * 86_400_000;
  const trail = it.trail(store);
  await trail.record(login("42"));
  it.now = right;
  await trail.record(login("42"));
  expect(await store.audit!.heads()).toHaveLength(2);
  await trail.close();
});

describe("audit trail: pruned chains", () => {
  async function pruned() {
    const it = world();
    const store = memoryStore();
    const audit = store.audit!;
    const writer = it.trail(store);
    await writer.record(login("42"), login("43"));
    await writer.checkpoint();
    const genuine = await audit.find({ limit: 10 });
    it.now += 10 * 86_400_000;
    const trail = it.trail(store);
    await trail.record(login("44"));
    await trail.pruning((checkpointer) =>
      prune(audit, checkpointer, { before: it.now - 86_400_000, mayGoOn: async () => true }),
    );
    return { audit, trail, genuine, chain: chainOf(genuine[0]!.position) };
  }
  const found = async (trail: Trail) => (await trail.verify()).problems.map(({ kind, from }) => [kind, from]);

  test("R49: an event is added to one → forged; copied to one → copied; a genuine beginning is left → no alarm", async () => {
    const { audit, trail, genuine, chain } = await pruned();
    expect(await found(trail)).toEqual([]);
    const [model] = await audit.find({ events: [2], limit: 1 });
    for (const number of [1, 2, 70]) {
      const forged = { ...model!, position: positionOf(chain, number), hash: new Uint8Array(32) };
      await audit.commit([], () => [forged]);
      expect(await found(trail)).toEqual([["forged", number]]);
      await audit.deleteChain(chain, 10);
    }
    await audit.commit([], () => [{ ...model!, position: positionOf(chain, 9) }]);
    expect(await found(trail)).toEqual([["copied", 9]]);
    await audit.deleteChain(chain, 10);
    await audit.commit([], () => genuine.slice(0, 2));
    expect(await found(trail)).toEqual([]);
    await trail.close();
  });

  test("R49: a record of pruning that no process signed → nothing is deleted for it", async () => {
    const { audit, trail } = await pruned();
    const [record] = await audit.checkpoints(0, 10, 1);
    const [live] = await audit.find({ events: [2], limit: 1 });
    const body = new Uint8Array(record!.body);
    body.set(chainOf(live!.position), body.length - 64);
    await audit.addCheckpoint({ ...record!, number: 1, body });
    await trail.pruning((checkpointer) =>
      prune(audit, checkpointer, { before: 0, mayGoOn: async () => true }),
    );
    expect(await audit.find({ events: [2], limit: 10 })).toHaveLength(1);
    await trail.close();
  });

  test("R49: pruned while everything is exported → the export verifies, with the keys and with public keys alone", async () => {
    for (const after of [0, 2, 4]) {
      const it = world();
      const store = memoryStore();
      const [first, second] = [it.trail(store), it.trail(store)];
      await first.record(login("42"));
      await second.record(login("43"));
      await first.checkpoint();
      it.now += 10 * 86_400_000;
      const trail = it.trail(store);
      await trail.record(login("44"));
      await trail.checkpoint();
      const lines: string[] = [];
      const exported = rawLines(store.audit!);
      // A page of events is read before the first line.
      const pruneAll = () =>
        trail.pruning((checkpointer) =>
          prune(store.audit!, checkpointer, { before: it.now - 86_400_000, mayGoOn: async () => true }),
        );
      const last = store.audit!.lastCheckpoint.bind(store.audit);
      if (after === 0) {
        // Between the newest checkpoint and the events.
        store.audit!.lastCheckpoint = async (kind) => {
          const checkpoint = await last(kind);
          store.audit!.lastCheckpoint = last;
          await pruneAll();
          await trail.record(login("45"));
          await trail.checkpoint();
          return checkpoint;
        };
      }
      for await (const line of exported) {
        lines.push(line);
        if (lines.length === after) await pruneAll();
      }
      const copy = memoryStore().audit!;
      for (const line of lines) {
        const read = readLine(line)!;
        if ("event" in read) await copy.commit([], () => [read.event]);
        else await copy.addCheckpoint(read.checkpoint);
      }
      for (const keys of [it.keys, undefined]) {
        const report = await new Verifier({
          store: copy,
          publicKeys: publicKeysOfRing(it.keys),
          keys,
        }).run();
        expect(report.problems, `after ${after} lines`).toEqual([]);
      }
      await trail.close();
    }
  });
});

test("R49: more checkpoints are gone than a call takes arguments → named", async () => {
  const trail = world().trail(memoryStore());
  await trail.record(login("42"));
  await trail.checkpoint();
  const anchors = new Map(Array.from({ length: 300_000 }, (_, index) => [index + 2, "ab"]));
  const { problems } = await trail.verify({ anchors });
  expect(problems).toMatchObject([{ kind: "checkpoint missing", from: 2, to: 300_001 }]);
  await trail.close();
});

import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { createSessionManager, type SessionManager } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { chosenDatabases, sqliteDrivers } from "../servers/chosen.ts";
import { cookieOf, testKeys } from "./doubles.ts";
import type { Answer, Task } from "./two-processes.worker.ts";

// The file lies in memory where the system has such a place: these tests are about order, not about the disk.
const place = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const start = 1_700_000_000_000;
const end = start + 30 * 86_400_000;
/** `npm run test:soak` runs 2,000 of each kind. */
const rounds = Number(process.env["TEST_ROUNDS"] ?? 200);

describe.runIf(chosenDatabases().includes("sqlite"))("two processes on one SQLite file", () => {
  for (const driver of sqliteDrivers) {
    describe(driver, () => {
      let folder: string;
      let children: ChildProcess[];
      let sessions: SessionManager<Record<string, unknown>>;
      let now = start;

      beforeAll(async () => {
        folder = mkdtempSync(join(place, "stored-session-"));
        const file = join(folder, "sessions.sqlite3");
        children = [0, 1].map(() =>
          fork(new URL("./two-processes.worker.ts", import.meta.url), [file, driver], {
            execArgv: ["--disable-warning=ExperimentalWarning"],
          }),
        );
        await Promise.all(children.map((child) => once(child, "message")));
        sessions = createSessionManager({
          store: sqliteStore(file, { driver }),
          keys: testKeys,
          clock: () => now,
        });
      });
      afterAll(async () => {
        for (const child of children) {
          child.send({ kind: "close" });
          await once(child, "exit");
        }
        await sessions.close();
        rmSync(folder, { recursive: true });
      });

      async function ask(child: ChildProcess, task: Task): Promise<string | null> {
        const answered = once(child, "message") as Promise<[Answer]>;
        child.send(task);
        const [answer] = await answered;
        if ("error" in answer) throw new Error(answer.error);
        return answer.setCookie;
      }

      async function begin(data: Record<string, unknown>, user?: string): Promise<string> {
        now = start;
        const session = await sessions.load(null);
        Object.assign(session.data, data);
        if (user !== undefined) session.login(user);
        return cookieOf(await sessions.commit(session));
      }

      test("promise 2, R39: 64 parallel requests change different keys → all survive", async () => {
        for (let round = 0; round < 10; round++) {
          const cookie = await begin({ kept: 1 });
          await Promise.all([
            ask(children[0]!, { kind: "keys", cookie, from: 0, count: 32 }),
            ask(children[1]!, { kind: "keys", cookie, from: 32, count: 32 }),
          ]);
          assert.equal(Object.keys((await sessions.load(cookie)).data).length, 65);
        }
      });

      test("promise 2: two processes increment one counter → no increment is lost", async () => {
        const cookie = await begin({ count: 0 });
        await Promise.all(children.map((child) => ask(child, { kind: "count", cookie, times: 200 })));
        assert.equal((await sessions.load(cookie)).data["count"], 400);
      });

      for (const kind of ["destroy", "revoke", "regenerate", "login", "expire"] as const) {
        test(
          `promise 3, R38, R41: ${rounds} saves against ${kind} → nothing comes back`,
          { timeout: 180_000 },
          async () => {
            let savesFirst = 0;
            for (let round = 0; round < rounds; round++) {
              const cookie = await begin({ kept: 1 }, kind === "revoke" ? "1" : undefined);
              const at = kind === "expire" ? end : start + round;
              const [saver, ender] =
                round % 2 === 0 ? [children[0]!, children[1]!] : [children[1]!, children[0]!];
              const save = () => ask(saver, { kind: round % 3 === 0 ? "touch" : "save", cookie, at: start });
              const finish = () => ask(ender, { kind, cookie, at });
              // One round in four waits for the save, one for the end; the others leave it to the two processes.
              const order = Math.floor(round / 2) % 4;
              let saved: string | null;
              let finished: string | null;
              if (order === 0) {
                saved = await save();
                finished = await finish();
              } else if (order === 1) {
                finished = await finish();
                saved = await save();
              } else {
                const both = order === 2 ? [save(), finish()] : [finish(), save()].toReversed();
                [saved, finished] = (await Promise.all(both)) as [string | null, string | null];
              }
              now = at;
              const old = await sessions.load(cookie);
              if (kind === "expire" && saved !== null) {
                // a save that was there before the limit moved the idle limit, never the absolute one
                assert.equal(old.isNew, true, `round ${round}`);
              }
              assert.equal(old.isNew, true, `round ${round}: the old session is dead`);
              if (saved !== null) {
                savesFirst++;
                assert.equal(cookieOf(saved!), cookie, `round ${round}: no new id for the one that saves`);
              }
              if (kind === "destroy") assert.match(finished!, /Max-Age=0/, `round ${round}`);
              if (kind === "regenerate" || kind === "login") {
                const next = await sessions.load(cookieOf(finished!));
                assert.equal(next.data["kept"], 1, `round ${round}`);
                if (saved !== null && round % 3 !== 0)
                  assert.equal(next.data["late"], true, `round ${round}`);
              }
            }
            // a quarter was made to come first each way; more came by themselves
            assert.ok(savesFirst >= rounds / 4, `${savesFirst} of ${rounds} saves came first`);
            assert.ok(savesFirst <= (rounds * 3) / 4, `${savesFirst} of ${rounds} saves came first`);
          },
        );
      }
    });
  }
});

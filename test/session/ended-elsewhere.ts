/** Sessions that another process ends between two requests of this one, which has them in its cache. */
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createSessionManager, type SessionManager } from "../../src/index.ts";
import { settingsOf } from "../../src/manager.ts";
import { idOf } from "../../src/session/handle.ts";
import { WORTH_ASKING } from "../../src/sql/known-rows.ts";
import { openPlace, type Place } from "./place.ts";
import { cookieOf, testKeys } from "./doubles.ts";

export const endings = ["destroy", "revoke", "revokeAll", "regenerate", "reset", "login"] as const;
export type Ending = (typeof endings)[number];

interface Data {
  n?: number;
  text?: string;
}

export interface EndTask {
  readonly ending: Ending;
  readonly cookies: readonly string[];
  readonly users: readonly string[];
}

/** So that the 240 of the test end in each of the six ways. */
const together = 40;

/**
 * Every other session is large enough for the database to compare it with what this process knows, instead of sending it.
 * The text does not compress.
 */
const textOf = (n: number): string => (n % 2 === 0 ? "" : randomBytes(WORTH_ASKING).toString("base64"));

/**
 * Ends `count` sessions in another process, each between a request that found it in this process's cache and the next
 * one, which has to begin a new session.
 * @param place a migrated database
 */
export async function endElsewhere(
  place: Place,
  count: number,
  progress?: (done: number) => void,
): Promise<void> {
  const child = fork(new URL("./ended-elsewhere.worker.ts", import.meta.url), [JSON.stringify(place)], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  await once(child, "message");
  const sessions = createSessionManager<Data>({ store: openPlace(place), keys: testKeys });
  try {
    for (let done = 0, turn = 0; done < count; done += together, turn++) {
      const ending = endings[turn % endings.length]!;
      await endSome(sessions, child, ending, done, Math.min(together, count - done));
      progress?.(done);
    }
  } finally {
    await sessions.close();
    child.send("close");
    await once(child, "exit");
  }
}

async function endSome(
  sessions: SessionManager<Data>,
  child: ChildProcess,
  ending: Ending,
  from: number,
  count: number,
): Promise<void> {
  const { opened } = settingsOf(sessions as SessionManager<never>);
  const numbers = Array.from({ length: count }, (_, n) => from + n);
  const texts = numbers.map(textOf);
  const users = numbers.map((n) => `user ${n}`);
  const cookies = await Promise.all(
    numbers.map(async (n, index) => {
      const session = await sessions.load(null);
      session.login(`user ${n}`);
      Object.assign(session.data, { n, text: texts[index] });
      return cookieOf(await sessions.commit(session));
    }),
  );
  for (let request = 0; request < 2; request++) {
    const found = await Promise.all(cookies.map((cookie) => sessions.load(cookie)));
    for (const [index, session] of found.entries()) {
      assert.deepEqual(session.data, { n: numbers[index], text: texts[index] });
      const known = opened!.known(idOf(session.handle)!);
      assert.notEqual(known, null, "the session is in the cache");
      assert.equal(
        known!.data.length > WORTH_ASKING,
        texts[index] !== "",
        "large ones are compared by the database",
      );
    }
  }
  child.send({ ending, cookies, users } satisfies EndTask);
  const [answer] = (await once(child, "message")) as [unknown];
  assert.equal(answer, "ended");
  const after = await Promise.all(cookies.map((cookie) => sessions.load(cookie)));
  for (const session of after) {
    assert.equal(session.isNew, true, `${ending}: ${session.handle}`);
    assert.deepEqual([session.data, session.user], [{}, undefined], ending);
  }
}

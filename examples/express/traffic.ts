import type { SessionManager } from "stored-session";

const HOUR = 3_600_000;
const devices = [
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/145.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile Safari",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_1) Chrome/142.0",
  "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) Safari",
];
const people = [
  "ada",
  "grace",
  "alan",
  "barbara",
  "edsger",
  "frances",
  "donald",
  "margaret",
  "tony",
  "radia",
];

/**
 * Makes a week of fictional traffic, the same each time: more by day than by night, a burst of failed logins, forgotten
 * sessions, and operators who end some. `clock` is that of the manager, and ends where it began.
 */
export async function weekOfTraffic(sessions: SessionManager, clock: { now: number }): Promise<void> {
  const end = clock.now;
  const random = randomFrom(7);
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
  for (clock.now = end - 7 * 24 * HOUR; clock.now < end; clock.now += HOUR / 2) {
    const hour = new Date(clock.now).getUTCHours();
    const busy = hour >= 7 && hour <= 20 ? 4 : 1;
    // Drawn first, so that visits at the same time leave the order of the random numbers alone.
    const visits = Array.from({ length: busy }, () => ({
      user: pick(people),
      client: { address: `203.0.113.${1 + Math.floor(random() * 250)}`, userAgent: pick(devices) },
      isMistyped: random() < 0.15,
      method: random() < 0.4 ? "passkey" : "password",
      isElevated: random() < 0.15,
      isEnded: random() < 0.35,
    }));
    await Promise.all(visits.map((one) => visit(sessions, one)));
    if (hour === 3 && clock.now > end - 20 * HOUR) {
      const client = { address: "198.51.100.23", userAgent: "curl/8.11" };
      for (let attempt = 0; attempt < 12; attempt++) {
        await sessions.audit.record("login.failed", { identifier: "admin", reason: "unknown user", client });
        await sessions.load("__Host-session=forged");
      }
      await sessions.audit.checkpoint();
    }
    if (random() < 0.03)
      await sessions.forUser(pick(people)).revokeAll({ by: "support 3", reason: "lost laptop" });
    if (random() < 0.1) await sessions.expire();
  }
  clock.now = end;
}

interface Visit {
  readonly user: string;
  readonly client: { readonly address: string; readonly userAgent: string };
  readonly isMistyped: boolean;
  readonly method: string;
  readonly isElevated: boolean;
  readonly isEnded: boolean;
}

async function visit(sessions: SessionManager, one: Visit): Promise<void> {
  const { user, client, method } = one;
  if (one.isMistyped) await sessions.audit.record("login.failed", { user, reason: "wrong password", client });
  const session = await sessions.load(null, client);
  session.login(user, { method, level: "aal1" });
  await sessions.commit(session);
  if (one.isElevated) session.elevate({ method: "totp", level: "aal2" });
  if (one.isEnded) session.destroy();
  await sessions.commit(session);
}

/** Random numbers from 0 to 1 that are the same for a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

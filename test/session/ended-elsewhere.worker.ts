// The other process: ends the sessions that it is told to.
import { createSessionManager } from "../../src/index.ts";
import { testKeys } from "./doubles.ts";
import type { EndTask } from "./ended-elsewhere.ts";
import { openPlace, type Place } from "./place.ts";

const sessions = createSessionManager<{ n?: number }>({
  store: openPlace(JSON.parse(process.argv[2]!) as Place),
  keys: testKeys,
  audit: process.env["TEST_TRAIL_ON"] !== undefined,
});

async function end({ ending }: EndTask, cookie: string, user: string): Promise<void> {
  if (ending === "revokeAll") return void (await sessions.forUser(user).revokeAll());
  const session = await sessions.load(cookie);
  if (ending === "revoke") return void (await sessions.forUser(user).revoke(session.handle));
  if (ending === "login") session.login(user);
  else session[ending]();
  await sessions.commit(session);
}

process.on("message", (message) => {
  if (message === "close") {
    void sessions.close().then(() => process.exit());
    return;
  }
  const task = message as EndTask;
  Promise.all(task.cookies.map((cookie, index) => end(task, cookie, task.users[index]!))).then(
    () => process.send!("ended"),
    (error: unknown) => process.send!(String(error)),
  );
});
process.send!("ready");

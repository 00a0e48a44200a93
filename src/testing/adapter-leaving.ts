import assert from "node:assert/strict";
import { abortable, until, type Check, type Trait, type World } from "./adapter-world.ts";

const moments = ["before the handler runs", "while the handler runs", "while the session is saved"] as const;
const deeds = ["change", "login", "logout"] as const;

/**
 * If the handler finishes, its session is committed, however it answers and whenever its client disconnects. While it
 * is still running, nothing is committed.
 */
export function leaving(check: Check, ways: readonly ("file" | "raw")[], differs: ReadonlySet<Trait>): void {
  for (const how of ["value", "redirect", "nothing", "stream", "slow stream", "error", ...ways]) {
    for (const moment of moments) {
      if (moment === "before the handler runs" && differs.has("unstarted")) continue;
      if (how === "slow stream" && moment === "while the session is saved") continue; // may have no first byte to wait for
      check(
        `client disconnects ${moment}, which answers with ${how} → changes, logins and logouts are stored (promises 3 and 4)`,
        async (world) => {
          for (const what of deeds) await leave(world, how, moment, what);
        },
        "leaving",
      );
    }
  }

  check(
    "client disconnects before the first chunk of the handler's stream → the session is stored",
    async (world) => {
      const { gates, visitor } = world;
      const someone = visitor();
      await someone.get("/login?user=42");
      const { cookie } = someone;
      const cut = opened(world, "/leave?how=slow+stream&what=logout", cookie);
      await gates.reached("leave-chunk");
      await cut();
      await until(async () => (await visitor(cookie).read()).isNew);
      gates.open("leave-chunk");
    },
    "leaving",
  );
}

async function leave(
  world: World,
  how: string,
  moment: (typeof moments)[number],
  what: (typeof deeds)[number],
): Promise<void> {
  const { gates, visitor, watched } = world;
  const someone = visitor();
  await someone.get("/login?user=42");
  const { cookie } = someone;
  const gate = `${what}-gate`;
  const during = moment === "while the handler runs";
  const query = new URLSearchParams({ how, what, ...(during && { gate }) });
  const held =
    moment === "before the handler runs" ? watched.holdReads() : during ? null : watched.holdWrites();
  const cut = opened(world, `/leave?${query}`, cookie);
  await (held?.arrived ?? gates.reached(gate));
  await cut();
  if (held === null) {
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
    const { user, data } = await visitor(cookie).read();
    assert.deepEqual([user, data], ["42", {}], "nothing is stored while the handler runs");
    gates.open(gate);
  }
  held?.release();
  const stored = async () => {
    const { isNew, data } = await visitor(cookie).read();
    return what === "change" ? data["done"] === "yes" && data["half"] === "yes" : isNew;
  };
  await until(stored);
  if (what === "login") await until(async () => (await world.sessions.forUser("43").list()).length === 1);
  if (what === "login") await world.sessions.forUser("43").revokeAll();
  for (const name of ["leave-chunk", `${gate}-chunk`]) gates.open(name);
}

/** Sends a request whose connection the returned function cuts; it resolves when the server has noticed. */
function opened({ running, url }: World, path: string, cookie: string): () => Promise<void> {
  const noticed = new Promise<void>((resolve) => {
    running.server.once("connection", (socket) => socket.once("close", () => setImmediate(resolve)));
  });
  const cut = running.open?.(path, cookie) ?? abortable(url + path, cookie);
  return async () => {
    await cut();
    await noticed;
  };
}

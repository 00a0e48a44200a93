import { load } from "./candidate.ts";
import type { Candidate, Setting } from "./candidate.ts";
import { expressStore } from "./express-store.ts";

/** Stores that keep sessions in no SQL database, for comparison in every run. */
export async function otherCandidates(setting: Setting): Promise<Candidate[]> {
  const { size } = setting;
  const session = await load("express-session");
  const candidates: Candidate[] = [];
  for (const [server, name] of [
    [setting.redis, "connect-redis, nothing on disk"],
    [setting.durableRedis, "connect-redis, appendfsync always"],
  ] as const) {
    if (!server) continue;
    const { createClient } = await load("redis");
    const { RedisStore } = await load("connect-redis");
    const client = createClient({ url: server.url });
    await client.connect();
    await client.flushAll();
    const bytes = async () => {
      const memory: string = await client.info("memory");
      return Number(/used_memory:(\d+)/.exec(memory)?.[1]);
    };
    candidates.push(
      expressStore(new RedisStore({ client }), {
        name,
        pid: server.pid,
        size,
        bytes,
        close: async () => void (await client.close()),
      }),
    );
  }
  const MemoryStore = (await load("memorystore"))(session);
  const memory = new MemoryStore({ checkPeriod: 86_400_000 });
  candidates.push(
    expressStore(memory, {
      name: "memorystore",
      pid: null,
      size,
      bytes: async () => null,
      close: async () => memory.stopInterval(),
    }),
  );
  return candidates;
}

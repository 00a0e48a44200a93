import { createSessionManager, generateKey } from "../../src/index.ts";
import type { Session, SessionStore } from "../../src/index.ts";
import type { Candidate } from "./candidate.ts";
import { contentOf, nextVisit } from "./sample.ts";
import type { Content } from "./sample.ts";
import { nextTouch } from "./touches.ts";

export interface OursOptions {
  readonly name: string;
  readonly pid: number | null;
  readonly size: number;
  /** With a user, an address and a user agent in every row, which the others keep nowhere or in the data. */
  readonly loggedIn?: boolean;
  bytes(): Promise<number | null>;
  fill?(rows: number): Promise<number>;
  close?(): Promise<void>;
}

const visitor = {
  address: "203.0.113.7",
  userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
};

/** Stored Session through its public API: encrypted, durable, as by default. */
export async function ours(store: SessionStore, options: OursOptions): Promise<Candidate> {
  await store.migrate();
  // A touch is due at each commit of an unchanged session, and nothing else here commits one.
  const sessions = createSessionManager<Content>({ store, keys: generateKey(), touchEvery: 0 });
  const cookies: string[] = [];
  const loaded: Session<Content>[] = [];
  const client = options.loggedIn ? visitor : undefined;
  return {
    name: options.name,
    pid: options.pid,
    async create(place) {
      const session = await sessions.load(null, client);
      session.data = contentOf(options.size);
      if (options.loggedIn) session.login(`user-${place}`);
      const setCookie = (await sessions.commit(session)) as string;
      cookies[place] = setCookie.slice(0, setCookie.indexOf(";"));
      loaded[place] = session;
    },
    async read(place) {
      const session = await sessions.load(cookies[place], client);
      if (session.data.visits === undefined) throw new Error("A session was lost.");
    },
    write(place) {
      const session = loaded[place] as Session<Content>;
      session.data.visits = nextVisit(session.data.visits);
      return sessions.commit(session);
    },
    async change(place) {
      const session = await sessions.load(cookies[place], client);
      session.data.visits = nextVisit(session.data.visits);
      await sessions.commit(session);
      loaded[place] = session;
    },
    async touch(place) {
      const session = loaded[place] as Session<Content>;
      const touched = nextTouch(session.handle);
      await sessions.commit(session);
      await touched;
    },
    bytes: options.bytes,
    ...(options.fill && { fill: options.fill }),
    async close() {
      await sessions.close();
      await options.close?.();
    },
  };
}

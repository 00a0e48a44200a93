import { randomBytes } from "node:crypto";
import type { Candidate } from "./candidate.ts";
import { contentOf, nextVisit } from "./sample.ts";
import type { Content } from "./sample.ts";

type Callback = (error?: unknown, value?: unknown) => void;

/** A store as express-session calls it. */
export interface ExpressStore {
  get(sid: string, callback: Callback): unknown;
  set(sid: string, session: unknown, callback: Callback): unknown;
  touch?(sid: string, session: unknown, callback: Callback): unknown;
}

interface Stored extends Content {
  cookie: { originalMaxAge: number; expires: string; httpOnly: boolean; path: string };
}

const day = 86_400_000;

/** A store of express-session, called as that calls it. */
export function expressStore(
  store: ExpressStore,
  options: {
    name: string;
    pid: number | null;
    size: number;
    bytes(): Promise<number | null>;
    fill?(rows: number): Promise<number>;
    close(): Promise<void>;
  },
): Candidate {
  const ids: string[] = [];
  const loaded: Stored[] = [];
  const get = (sid: string): Promise<Stored> =>
    new Promise((resolve, reject) => {
      store.get(sid, (error, value) => {
        if (error) reject(error as Error);
        else if (value) resolve(value as Stored);
        else reject(new Error(`${options.name} lost a session.`));
      });
    });
  const call = (method: "set" | "touch", place: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const session = loaded[place] as Stored;
      session.cookie.expires = new Date(Date.now() + day).toISOString();
      store[method]?.(ids[place] as string, session, (error) => (error ? reject(error as Error) : resolve()));
    });
  return {
    name: options.name,
    pid: options.pid,
    create(place) {
      ids[place] = randomBytes(24).toString("base64url");
      const cookie = { originalMaxAge: day, expires: "", httpOnly: true, path: "/" };
      loaded[place] = { cookie, ...contentOf(options.size) };
      return call("set", place);
    },
    read: (place) => get(ids[place] as string),
    write(place) {
      const session = loaded[place] as Stored;
      session.visits = nextVisit(session.visits);
      return call("set", place);
    },
    async change(place) {
      const session = await get(ids[place] as string);
      session.visits = nextVisit(session.visits);
      loaded[place] = session;
      await call("set", place);
    },
    touch: (place) => call("touch", place),
    bytes: options.bytes,
    ...(options.fill && { fill: options.fill }),
    close: options.close,
  };
}

import { reasonOf } from "../../shared/reason.ts";
import { exitCodes, Failure } from "../failure.ts";
import { shownStart } from "./left-out.ts";
import type { Library } from "./library.ts";
import type { SourceReader, SourceRow } from "./reader.ts";
import { connectRedis, type RedisConnection } from "./redis-client.ts";

/** The prefix of connect-redis. */
const usualPrefix = "sess:";

/** Sessions of connect-redis: a string of JSON under prefix and session id, which expires with the session. */
export class RedisReader implements SourceReader {
  readonly #url: string;
  readonly #prefix: string;
  readonly #lifetime: number;
  readonly #now: () => number;
  #connection: RedisConnection | undefined;
  /** Keys of the database; undefined where the user may not ask. */
  #keys: number | undefined;
  /** Keys that SCAN has gone over, of any name. */
  #passed = 0;
  #given = false;
  #knowsEnds = true;

  /** @param lifetime milliseconds from now on of a key and a cookie without an end */
  constructor(options: { url: string; prefix: string; lifetime: number; now: () => number }) {
    this.#url = options.url;
    this.#prefix = options.prefix;
    this.#lifetime = options.lifetime;
    this.#now = options.now;
  }

  async begin(): Promise<void> {
    this.#connection = await connectRedis(this.#url);
    try {
      this.#keys = Number(await this.#connection.send("DBSIZE"));
    } catch (error) {
      if (!isRefusal(error)) throw this.#failure(error);
    }
  }

  /** In the order of SCAN, which never blocks the server. A key that moves meanwhile can come twice. */
  async *pages(size: number): AsyncGenerator<SourceRow[]> {
    const match = `${this.#prefix.replace(/[*?[\]^\\-]/g, "\\$&")}*`;
    let cursor = "0";
    do {
      const [next, keys] = (await this.#send("SCAN", cursor, "MATCH", match, "COUNT", String(size))) as [
        string | number,
        string[],
      ];
      cursor = String(next);
      this.#passed += size;
      const rows = await Promise.all([...new Set(keys)].map((key) => this.#read(key)));
      this.#given = true;
      yield rows.filter((row) => row !== null);
    } while (cursor !== "0");
  }

  fraction(): number | undefined {
    return this.#keys === undefined ? undefined : Math.min(1, this.#passed / this.#keys);
  }

  /** SCAN meets every key that is there from its beginning to its end. */
  async end(): Promise<void> {}

  find({ sid }: SourceRow): string | null {
    const start = shownStart(sid);
    if (start === "" || !/^[\w:.-]*$/.test(this.#prefix)) return null;
    return `redis-cli --scan --pattern '${this.#prefix}${start}*'`;
  }

  async close(): Promise<void> {
    this.#connection?.close();
  }

  /** Null where the key expired or was deleted since SCAN named it. */
  async #read(key: string): Promise<SourceRow | null> {
    const sid = key.slice(this.#prefix.length);
    const unreadable = (reason: string) => ({ sid, text: "", expiresAt: NaN, unreadable: reason });
    // Its library looks for text, too.
    if (sid === "" || sid.includes("\uFFFD")) return unreadable("its key holds no session id");
    const end = this.#endOf(key);
    const [text, expiresAt] = await Promise.all([this.#textOf(key), end]);
    if (text === wrongType) return unreadable("its value is not a string");
    if (text === null || expiresAt === gone) return null;
    const cookie = cookieIn(text);
    if (cookie === null) return unreadable("it has no cookie, so it is no session of express-session");
    return { sid, text, expiresAt: expiresAt ?? this.#endOfCookie(cookie) };
  }

  async #textOf(key: string): Promise<string | null | typeof wrongType> {
    try {
      return (await this.#connection!.send("GET", key)) as string | null;
    } catch (error) {
      if (reasonOf(error).startsWith("WRONGTYPE")) return wrongType;
      throw this.#failure(error);
    }
  }

  /** In milliseconds; null where the key has no end. */
  async #endOf(key: string): Promise<number | null | typeof gone> {
    if (this.#knowsEnds) {
      try {
        return endIn(Number(await this.#connection!.send("PEXPIRETIME", key)), 0);
      } catch (error) {
        // Before Redis 7.
        if (!/unknown command/i.test(reasonOf(error))) throw this.#failure(error);
        this.#knowsEnds = false;
      }
    }
    return endIn(Number(await this.#send("PTTL", key)), this.#now());
  }

  /** Where `disableTTL` leaves keys without an end, the cookie may have one. */
  #endOfCookie({ expires }: { expires?: unknown }): number {
    const moment = typeof expires === "string" ? Date.parse(expires) : NaN;
    return Number.isNaN(moment) ? this.#now() + this.#lifetime : moment;
  }

  async #send(...command: string[]): Promise<unknown> {
    try {
      return await this.#connection!.send(...command);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): Failure {
    const advice = isRefusal(error)
      ? `The user in --from needs the commands SCAN, GET, PEXPIRETIME and PTTL on the keys "${this.#prefix}*". `
      : "";
    const rest = this.#given
      ? "What was imported until then stays: run the import again to continue."
      : "Nothing was changed.";
    return new Failure(
      `Redis could not be read: ${reasonOf(error).replace(/\.$/, "")}. ${advice}${rest}`,
      exitCodes.failed,
      { cause: error },
    );
  }
}

const wrongType = Symbol("a list, hash or the like");
const gone = Symbol("expired or deleted");

/** The answers of PEXPIRETIME and PTTL: -1 without an end, -2 without a key. */
function endIn(answer: number, from: number): number | null | typeof gone {
  if (answer === -2) return gone;
  return answer === -1 ? null : from + answer;
}

function isRefusal(error: unknown): boolean {
  return /^(NOPERM|NOAUTH)\b/.test(reasonOf(error));
}

/** The cookie of a session of express-session; empty where the text is for others to judge; null where there is none. */
function cookieIn(text: string): { expires?: unknown } | null {
  let session: unknown;
  try {
    session = JSON.parse(text);
  } catch {
    return {};
  }
  if (typeof session !== "object" || session === null || Array.isArray(session)) return {};
  const { cookie } = session as { cookie?: unknown };
  return typeof cookie === "object" && cookie !== null ? cookie : null;
}

export const redisLibrary: Library = {
  name: "connect-redis",
  from: "Redis server",
  takes: ["prefix", "lifetime", "userPath"],
  open: ({ from, options, idleTimeout, now }) =>
    new RedisReader({
      url: from,
      prefix: options.prefix ?? usualPrefix,
      lifetime: options.lifetime ?? idleTimeout,
      now,
    }),
};

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fromRailsUrl } from "../rails/url.ts";
import { mysqlStore } from "../sql/mysql/store.ts";
import { postgresStore } from "../sql/postgres/store.ts";
import { sqliteStore } from "../sql/sqlite/store.ts";
import type { SqlStore } from "../sql/sql-store.ts";
import { exitCodes, Failure } from "./failure.ts";

/** The store of an address: `postgres://…`, `mysql://…`, `mariadb://…`, `sqlite:path` or a path, or one of Rails. */
export function openStore(
  given: string,
  table: string | undefined,
  cwd: string,
): { readonly store: SqlStore; readonly label: string } {
  const url = fromRailsUrl(given);
  const options = table === undefined ? {} : { table };
  // One letter is a drive of Windows.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1]?.toLowerCase();
  switch (scheme) {
    case "postgres":
    case "postgresql":
      return { store: postgresStore(url, { ...options, poolSize: 4 }), label: withoutPassword(url) };
    case "mysql":
    case "mariadb":
      return {
        store: mysqlStore(url, { ...options, poolSize: 4 }),
        label: withoutPassword(url),
      };
    case "sqlite":
    case "file":
    case undefined: {
      const path = url.replace(/^(?:sqlite|file):(?:\/\/(?=\/)|\/\/)?/i, "");
      if (path === "" || /\.(ts|mts|js|mjs)$/.test(path)) break;
      if (scheme === undefined && /^\w+$/.test(path) && !existsSync(resolve(cwd, path))) {
        throw new Failure(
          `The file ${JSON.stringify(path)} does not exist. For a database server use postgres://user@host/${path} or mysql://user@host/${path}; for a new SQLite file, sqlite:${path}.`,
          exitCodes.usage,
        );
      }
      return { store: sqliteStore(resolve(cwd, path), options), label: resolve(cwd, path) };
    }
  }
  throw new Failure(
    `${JSON.stringify(withoutPassword(url))} is not a database address. Use postgres://…, mysql://… or sqlite:path/to/file.`,
    exitCodes.usage,
  );
}

const host = String.raw`(?:[\w.-]+|\[[\da-f:.]+\])?(?::\d+)?`;
const shownPart = new RegExp(`^//(?:[^/?#]*@)?(${host}(?:,${host})*(?:/[^/?#@:]*)?)(?:[?#][^@]*)?$`, "i");

/**
 * For messages: an address with its host and its database, and nothing else of it. Where a password may be in an
 * unusual place (an "@" behind the host may end one with a slash in it), only what kind of address it is.
 */
export function withoutPassword(url: string): string {
  const [, scheme, rest = ""] = /^([a-z][a-z0-9+.-]+:)(.*)$/is.exec(url) ?? [];
  if (scheme === undefined || /^(sqlite|file):$/i.test(scheme)) return url;
  return `${scheme}//${shownPart.exec(rest)?.[1] ?? "…"}`;
}

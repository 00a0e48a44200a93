/** `stored-session/libsql`: sessions in libSQL or Turso, in a file or on a server, with @libsql/client. */
import { OptionsError } from "../../errors.ts";
import { reasonOf } from "../../shared/reason.ts";
import { neverSent } from "../driver-errors.ts";
import { hasMethods, behind, member } from "../handles.ts";
import { driverProblem, exportsOf } from "../load-driver.ts";
import { problemsOf, isAnything } from "../../shared/option-checks.ts";
import { SqlStore } from "../sql-store.ts";
import { batchDialect, type BatchStoreOptions } from "./batch-dialect.ts";
import { BatchDatabase, type BatchClient, type BatchResult } from "./batch-driver.ts";

export interface LibsqlStoreOptions extends BatchStoreOptions {
  /** The token of a server given by URL. */
  readonly authToken?: string;
}

/** The parts used of a client of `@libsql/client`. */
export interface LibsqlClient {
  batch(statements: never[], mode: "read" | "write"): Promise<readonly LibsqlResult[]>;
  close(): void;
  readonly protocol: string;
  readonly closed: boolean;
}

interface LibsqlResult {
  readonly columns: readonly string[];
  readonly rows: readonly ArrayLike<unknown>[];
  readonly rowsAffected: number;
}

/**
 * Opens a store in libSQL. Run `migrate(store)` once before the first start.
 *
 * A URL (`file:sessions.db`, `libsql://…`, `https://…`, `http://…`, `wss://…`) requires the package `@libsql/client`; the
 * client is opened at the first operation and closed by `close`. A client that you pass is never closed.
 */
export function libsqlStore(
  urlOrClient: string | LibsqlClient | { readonly $client: LibsqlClient },
  options: LibsqlStoreOptions = {},
): SqlStore {
  const problems = problemsOf(options, {
    table: isAnything, // its name is checked where it is quoted
    authToken: (value) => (typeof value === "string" ? null : "use a text"),
  });
  const isUrl = typeof urlOrClient === "string";
  const client = isUrl ? null : clientOf(urlOrClient);
  if (isUrl && !/^(file|libsql|https?|wss?):/.test(urlOrClient)) {
    problems.push(
      'the URL given to libsqlStore must begin with "file:", "libsql://", "https://", "http://", "wss://" or "ws://" (it is not shown, because it may contain a token).',
    );
  }
  if (typeof client === "string") problems.push(client);
  if (problems.length > 0) throw new OptionsError(problems);

  const open = isUrl ? () => openClient(urlOrClient, options.authToken) : async () => client as LibsqlClient;
  const database = new BatchDatabase({
    dialect: batchDialect(options, "libSQL"),
    open: async () => batches(await open()),
    owned: isUrl,
    store: "libsqlStore",
    label: "the libSQL database",
  });
  return new SqlStore(database);
}

function clientOf(given: unknown): LibsqlClient | string {
  const pass = "a client of @libsql/client (createClient(…))";
  const found = behind(given, "libsqlStore", pass);
  if (found !== null && "problem" in found) return found.problem;
  const client = found !== null && "handle" in found ? found.handle : given;
  if (hasMethods(client, "batch", "executeMultiple") && typeof member(client, "protocol") === "string")
    return client as LibsqlClient;
  if (hasMethods(client, "prepare", "batch"))
    return "libsqlStore was given a D1 database. Pass it to d1Store.";
  if (hasMethods(client, "prepare"))
    return "libsqlStore was given a handle of node:sqlite or better-sqlite3. Pass it to sqliteStore.";
  return `libsqlStore requires a URL or ${pass}.`;
}

function batches(client: LibsqlClient): BatchClient {
  return {
    async batch(statements, writes) {
      if (client.closed) throw new Error("Pool is closed: the libSQL client was closed");
      const sent = statements.map(({ text, values }) => ({ sql: text, args: values }));
      try {
        const results = await client.batch(sent as never[], writes ? "write" : "read");
        return results.map(resultOf);
      } catch (error) {
        throw explained(error, client.protocol !== "file");
      }
    },
    close: () => client.close(),
  };
}

function resultOf({ columns, rows, rowsAffected }: LibsqlResult): BatchResult {
  return {
    rows: rows.map((row) => Object.fromEntries(columns.map((column, nth) => [column, valueOf(row[nth])]))),
    changes: rowsAffected,
  };
}

/** The client returns bytes as an ArrayBuffer. */
function valueOf(value: unknown): unknown {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
}

/**
 * The error with a code that tells what happened.
 * @param isRemote whether statements travel to a server
 */
function explained(error: unknown, isRemote: boolean): unknown {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  const isUnknown = code === "SQLITE_UNKNOWN" || /^SQL_[A-Z_]+$/.test(String(code));
  if (isUnknown) {
    // Its server does not tell SQLite's code.
    const { message } = error as Error;
    const known = /database is locked|database table is locked/.test(message)
      ? "SQLITE_BUSY"
      : "SQLITE_ERROR";
    return Object.assign(new Error(message, { cause: error }), { code: known });
  }
  if (typeof code === "string" && code.startsWith("SQLITE_")) return error;
  if (code === "CLIENT_CLOSED")
    return new Error("Pool is closed: the libSQL client was closed", { cause: error });
  if (!isRemote || isOfClient(error, code)) return error;
  const reason = (cause as { code?: unknown } | undefined)?.code ?? code ?? reasonOf(error);
  const lost = Object.assign(new Error(String(reason), { cause: error }), { code: "ECONNRESET" });
  if (UNREACHED.test(String(reason))) neverSent.add(lost);
  return lost;
}

/** No connection was made, so nothing was sent: as Node, and as Bun says it. */
const UNREACHED = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ConnectionRefused)$/;

/**
 * Whether the client itself refused what it was given. Everything else came from its `fetch` or its WebSocket, whose errors
 * every runtime words differently.
 */
function isOfClient(error: unknown, code: unknown): boolean {
  if (/^(URL_|PROTOCOL_VERSION_|TRANSACTION_CLOSED$|[A-Z_]+_NOT_SUPPORTED$)/.test(String(code))) return true;
  return (
    error instanceof RangeError || (error instanceof TypeError && error.message.startsWith("Unsupported"))
  );
}

interface LibsqlPackage {
  createClient(options: object): LibsqlClient;
}

async function openClient(url: string, authToken: string | undefined): Promise<LibsqlClient> {
  let loaded: LibsqlPackage;
  try {
    const exports: unknown = await import("@libsql/client");
    loaded = exportsOf<LibsqlPackage>(exports, ({ createClient }) => createClient);
  } catch (cause) {
    throw driverProblem(cause, {
      name: "@libsql/client",
      why: "libsqlStore was given a URL",
      otherwise: "pass a client",
    });
  }
  return loaded.createClient({ url, ...(authToken !== undefined && { authToken }) });
}

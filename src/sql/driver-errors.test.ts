import { describe, expect, test } from "vitest";
import { ClosedError, StoreDriverError, StoreTimeoutError, StoreUnavailableError } from "../errors.ts";
import * as mysqlErrors from "./mysql/errors.ts";
import { MysqlDialect } from "./mysql/dialect.ts";
import * as postgresErrors from "./postgres/errors.ts";
import { PostgresDialect } from "./postgres/dialect.ts";
import { explain as explainSqlite } from "./sqlite/errors.ts";

const coded = (code: string, more: object = {}) => Object.assign(new Error("said"), { code, ...more });

const servers = [
  ["postgres", (error: unknown) => postgresErrors.explain(error, new PostgresDialect().names, "unknown")],
  ["mysql", (error: unknown) => mysqlErrors.explain(error, new MysqlDialect().names, "unknown")],
] as const;

describe.each(servers)("%s: an error without a code of the database", (_, explain) => {
  test.each([
    coded("ECONNREFUSED", { syscall: "connect" }),
    coded("ECONNRESET"),
    coded("ENOTFOUND", { syscall: "getaddrinfo" }),
    coded("EAI_AGAIN"),
    coded("ETIMEDOUT"),
    coded("EPIPE"),
    coded("EHOSTUNREACH"),
    coded("ENOENT", { syscall: "connect" }),
    coded("EMFILE", { syscall: "connect" }),
    coded("PROTOCOL_CONNECTION_LOST", { fatal: true }),
    coded("CERT_HAS_EXPIRED"),
    coded("DEPTH_ZERO_SELF_SIGNED_CERT"),
    coded("ERR_TLS_CERT_ALTNAME_INVALID"),
    coded("ERR_STREAM_DESTROYED"),
    Object.assign(new Error("Can't add new command when connection is in closed state"), { fatal: true }),
    new Error("Connection terminated unexpectedly"),
    new Error("timeout exceeded when trying to connect"),
    new Error("Client has encountered a connection error and is not queryable"),
    new Error("Queue limit reached."),
    new AggregateError([coded("ECONNREFUSED"), coded("ECONNREFUSED")]),
    new AggregateError([new TypeError("no"), coded("ECONNREFUSED")]),
    Object.assign(new Event("error"), { message: "the WebSocket broke" }),
  ])("$code $message → an outage, 503 (promise 8)", (cause) => {
    const error = explain(cause);
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).toMatchObject({ status: 503, outcome: "unknown", cause, mayBeOneRow: false });
  });

  test("an AggregateError without a message → its first code is named", () => {
    expect(explain(new AggregateError([coded("ECONNREFUSED")])).message).toMatch(/\(ECONNREFUSED\)/);
  });

  test("an ErrorEvent of a WebSocket → its own message, and not [object ErrorEvent]", () => {
    const event = Object.assign(new Event("error"), { message: "Unexpected server response: 502" });
    expect(explain(event).message).toContain("(Unexpected server response: 502)");
  });

  test.each([
    new TypeError("x is not a function"),
    new RangeError("out of range"),
    coded("ERR_INVALID_URL"),
    coded("ERR_INVALID_ARG_TYPE"),
    coded("MODULE_NOT_FOUND"),
    coded("ERR_SOCKET_BAD_PORT"),
    coded("ENOENT", { syscall: "open" }),
    Object.assign(new TypeError("bad value"), { code: "ERR_INVALID_ARG_VALUE" }),
    new Error("a bug in a wrapper of the pool"),
    new AggregateError([new TypeError("no")]),
    new AggregateError([]),
    "a thrown text",
    undefined,
    null,
  ])("%s → no outage, 500, and the cause is kept", (cause) => {
    const error = explain(cause);
    expect(error).toBeInstanceOf(StoreDriverError);
    expect(error).toMatchObject({
      code: "ERR_STORED_SESSION_STORE_DRIVER",
      status: 500,
      outcome: "unknown",
      cause,
    });
    expect(error.message).not.toMatch(/could not be reached/);
  });

  test("the driver's own time limit → a StoreTimeoutError, and whether it was written is not known", () => {
    expect(explain(new Error("Query read timeout"))).toBeInstanceOf(StoreTimeoutError);
    expect(explain(new Error("Query read timeout"))).toMatchObject({ outcome: "unknown" });
  });

  test.each(["Pool is closed.", "Cannot use a pool after calling end on the pool"])(
    "%s → a ClosedError that says who ended it",
    (message) => {
      expect(explain(new Error(message))).toBeInstanceOf(ClosedError);
      expect(explain(new Error(message)).message).toMatch(/The application ended the pool.*sessions\.close/);
    },
  );
});

describe("sqlite: an error without a code of SQLite", () => {
  const explain = (error: unknown) =>
    explainSqlite(error, {
      label: "the file x",
      table: "t",
      busyTimeout: 1,
      writes: true,
      schemaState: () => "current",
    });

  test("a TypeError of the driver → no outage, 500, and the cause is kept", () => {
    const cause = new TypeError("cannot be bound");
    expect(explain(cause)).toBeInstanceOf(StoreDriverError);
    expect(explain(cause)).toMatchObject({ status: 500, outcome: "none", mayBeOneRow: true, cause });
  });

  test("an error of the operating system → an outage", () => {
    expect(explain(coded("EMFILE", { syscall: "open" }))).toBeInstanceOf(StoreUnavailableError);
  });
});

import { describe, expect, test } from "vitest";
import {
  NotMigratedError,
  StoreReadOnlyError,
  StoreTimeoutError,
  StoreUnavailableError,
  TableError,
} from "../errors.ts";
import * as mysqlErrors from "./mysql/errors.ts";
import { MysqlDialect } from "./mysql/dialect.ts";
import * as postgresErrors from "./postgres/errors.ts";
import { PostgresDialect } from "./postgres/dialect.ts";

describe("PostgreSQL", () => {
  const { names } = new PostgresDialect();
  const said = (code: string, severity = "ERROR", message = "said"): Error =>
    Object.assign(new Error(message), { code, severity });
  const explain = (error: Error) => postgresErrors.explain(error, names, "unknown");

  test.each([
    // PostgreSQL tells the severity in the language of lc_messages.
    ["25P03", "FATAL"],
    ["25P04", "FATAL"],
    ["25P04", "ВАЖНО"],
    ["57P05", "FATAL"],
  ])("a time limit that ends the connection (%s %s) → a broken connection", (code, severity) => {
    const error = said(code, severity);
    expect(postgresErrors.isBroken(error)).toBe(true);
    expect(explain(error)).toBeInstanceOf(StoreTimeoutError);
    expect(explain(error)).toMatchObject({ outcome: "unknown" });
  });

  test("a failed leaked transaction → the connection is dropped, outcome none", () => {
    const error = said("25P02");
    expect(postgresErrors.isBroken(error)).toBe(true);
    expect(explain(error)).toMatchObject({ code: "ERR_STORED_SESSION_STORE", outcome: "none" });
    expect(explain(error).message).toMatch(/Roll back before release/);
  });

  test.each(["57014", "55P03"])(
    "%s, which may concern one locked row → the others of the batch are retried",
    (code) => {
      expect(explain(said(code))).toBeInstanceOf(StoreTimeoutError);
      expect(explain(said(code))).toMatchObject({ outcome: "none", mayBeOneRow: true });
      expect(explain(said("25P04"))).toMatchObject({ mayBeOneRow: false });
    },
  );

  test("severity FATAL → the connection is unusable", () => {
    expect(postgresErrors.isBroken(said("XX000", "FATAL"))).toBe(true);
    expect(postgresErrors.isBroken(said("XX000", "ERROR"))).toBe(false);
    expect(explain(said("XX000", "FATAL"))).toBeInstanceOf(StoreUnavailableError);
    expect(explain(said("XX000", "FATAL"))).toMatchObject({ outcome: "unknown" });
  });

  test("the server does not know whether a statement completed → outcome unknown", () => {
    expect(explain(said("40003"))).toMatchObject({ outcome: "unknown" });
    expect(postgresErrors.explain(said("40003"), names, "none")).toMatchObject({ outcome: "none" });
  });

  test("a missing schema → not reported as a missing table", () => {
    const error = explain(said("3F000", "ERROR", 'schema "app" does not exist'));
    expect(error).toBeInstanceOf(TableError);
    expect(error.message).toMatch(/CREATE SCHEMA/);
    expect(explain(said("42P01"))).toBeInstanceOf(NotMigratedError);
  });

  test("a read-only server → nothing was written, and another server may accept the write", () => {
    const error = said("25006");
    expect(explain(error)).toBeInstanceOf(StoreReadOnlyError);
    expect(explain(error)).toMatchObject({ outcome: "none" });
    expect(postgresErrors.isReadOnly(error)).toBe(true);
    expect(postgresErrors.isReadOnly(said("42501"))).toBe(false);
  });
});

describe("MySQL and MariaDB", () => {
  const dialect = new MysqlDialect();
  const said = (errno: number): Error => Object.assign(new Error("said"), { errno, sqlState: "HY000" });
  const explain = (error: Error) => mysqlErrors.explain(error, dialect.names, "unknown");

  test.each([1290, 1792, 1836])("error %i → no writes here; another server may accept them", (number) => {
    expect(explain(said(number))).toBeInstanceOf(StoreReadOnlyError);
    expect(explain(said(number))).toMatchObject({ outcome: "none" });
    expect(mysqlErrors.isReadOnly(said(number))).toBe(true);
  });

  // a client's own errors, with an SQLSTATE as the server's have
  test.each([2006, 2013, 2055, 1158, 1159, 1160, 1161, 4031])(
    "error %i passed on by a proxy → a broken connection, outcome unknown",
    (number) => {
      expect(mysqlErrors.isBroken(said(number))).toBe(true);
      expect(explain(said(number))).toBeInstanceOf(StoreUnavailableError);
      expect(explain(said(number))).toMatchObject({ outcome: "unknown", mayBeOneRow: false });
      expect(mysqlErrors.explain(said(number), dialect.names, "none")).toMatchObject({ outcome: "none" });
    },
  );

  test.each([1157, 1162, 1999, 3000, 4030])("error %i → an answer of the server", (number) => {
    expect(mysqlErrors.isBroken(said(number))).toBe(false);
    expect(explain(said(number))).toMatchObject({ outcome: "none" });
  });

  test("a failed batch: a rejected row → retried row by row; a lock timeout → not", () => {
    for (const number of [1242, 1235]) expect(dialect.isRefusal(explain(said(number)))).toBe(true);
    for (const number of [1205, 1213, 1317, 2013])
      expect(dialect.isRefusal(explain(said(number)))).toBe(false);
  });

  test.each([1205, 1317, 1969, 3024])(
    "%i, which may concern one locked row → the others of the batch are retried",
    (number) => {
      expect(explain(said(number))).toMatchObject({ outcome: "none", mayBeOneRow: true });
    },
  );

  test("a packet that is too large → the connection is closed, and nothing was written", () => {
    expect(mysqlErrors.isBroken(said(1153))).toBe(true);
    expect(explain(said(1153))).toMatchObject({ outcome: "none" });
    expect(explain(said(1153)).message).toMatch(/max_allowed_packet/);
  });
});

import { describe, expect, test } from "vitest";
import { durabilityWarningsIn } from "./durability.ts";
import { durabilityOf as durabilityOfMysql } from "./mysql/durability.ts";
import { durabilityOf as durabilityOfPostgres } from "./postgres/durability.ts";
import { namesOf } from "./names.ts";
import { DurabilityWarning } from "./durability-warning.ts";

const names = namesOf(undefined, (identifier) => `"${identifier}"`, { schemas: true });

describe("settings that are weaker than the promise (R33)", () => {
  const postgres = (row: object) =>
    durabilityWarningsIn(
      durabilityOfPostgres(
        {
          synchronous_commit: "on",
          synchronous_standby_names: "",
          fsync: "on",
          full_page_writes: "on",
          persistence: "p",
          ...row,
        },
        names,
      ),
    );
  const mysql = (row: object) =>
    durabilityWarningsIn(
      durabilityOfMysql({ flush_log: 1, doublewrite: "ON", log_bin: 1, sync_binlog: 1, ...row }),
    );

  test.each([
    [{}, []],
    [{ synchronous_commit: "off" }, [/^synchronous_commit is off, so /]],
    [{ synchronous_commit: "local" }, []],
    [
      { synchronous_commit: "local", synchronous_standby_names: "FIRST 1 (a)" },
      [/^synchronous_commit is local, so .* failover/],
    ],
    [{ synchronous_commit: "on", synchronous_standby_names: "a" }, []],
    [{ fsync: "off", full_page_writes: "off" }, [/^fsync is off/, /^full_page_writes is off/]],
    [{ persistence: "u" }, [/^the table "stored_sessions" is unlogged, so a server crash empties it/]],
    [{ persistence: null }, []],
  ])("PostgreSQL: %j → the warnings", (row, sentences) => {
    expect(postgres(row)).toEqual(sentences.map((sentence) => expect.stringMatching(sentence)));
  });

  test.each([
    [{}, []],
    [{ flush_log: 0 }, [/^innodb_flush_log_at_trx_commit is 0/]],
    [{ flush_log: 2 }, [/^innodb_flush_log_at_trx_commit is 2/]],
    [{ flush_log: 3 }, []],
    [{ doublewrite: "OFF" }, [/^innodb_doublewrite is OFF/]],
    [{ doublewrite: 0 }, [/^innodb_doublewrite is 0/]],
    [{ sync_binlog: 0 }, [/^sync_binlog is 0/]],
    [{ sync_binlog: 0, log_bin: 0 }, []],
  ])("MySQL and MariaDB: %j → the warnings", (row, sentences) => {
    expect(mysql(row)).toEqual(sentences.map((sentence) => expect.stringMatching(sentence)));
  });
});

describe("telling of them", () => {
  const warningsOf = async (work: () => Promise<void>): Promise<string[]> => {
    const warnings: string[] = [];
    const listen = (warning: Error & { code?: string }): void => {
      if (warning.code === "STORED_SESSION_WEAK_DURABILITY") warnings.push(warning.message);
    };
    process.on("warning", listen);
    await work();
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", listen);
    return warnings;
  };

  test("concurrent first callers → one warning", async () => {
    const warning = new DurabilityWarning();
    let asked = 0;
    const ask = async (): Promise<string[]> => {
      asked++;
      await new Promise((resolve) => setImmediate(resolve));
      return ["fsync is off."];
    };
    const warnings = await warningsOf(async () => {
      await Promise.all([1, 2, 3, 4].map(() => warning.check("PostgreSQL", ask)));
      await warning.check("PostgreSQL", ask);
    });
    expect(warnings).toEqual(["PostgreSQL: fsync is off."]);
    expect(asked).toBe(1);
  });

  test("a failed check → repeated at the next use, a limited number of times", async () => {
    const [warning, hopeless] = [new DurabilityWarning(), new DurabilityWarning()];
    let asked = 0;
    const warnings = await warningsOf(async () => {
      await warning.check("MySQL", () => Promise.reject(new Error("the connection broke")));
      await warning.check("MySQL", async () => ["sync_binlog is 0."]);
      for (let use = 0; use < 10; use++) {
        await hopeless.check("MySQL", () => {
          asked++;
          return Promise.reject(new Error("no such setting"));
        });
      }
    });
    expect(warnings).toEqual(["MySQL: sync_binlog is 0."]);
    expect(asked).toBe(3);
  });
});

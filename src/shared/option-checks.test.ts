import assert from "node:assert/strict";
import client from "prom-client";
import { describe, test } from "vitest";
import { createSessionManager, generateKey, memoryStore } from "../index.ts";
import { OptionsError } from "../errors.ts";
import { mysqlStore } from "../sql/mysql/store.ts";
import { postgresStore } from "../sql/postgres/store.ts";
import { sqliteStore } from "../sql/sqlite/store.ts";
import { logSessions } from "../telemetry/log.ts";
import { instrumentSessions } from "../telemetry/opentelemetry.ts";
import { measureSessions } from "../telemetry/prometheus.ts";

const manager = () => createSessionManager({ store: memoryStore(), keys: generateKey() });
const registry = () => new client.Registry();
const silent = { debug() {}, warn() {} };

describe("options of every subpath", () => {
  const takers: [name: string, take: (options: any) => unknown][] = [
    ["measureSessions", (options) => measureSessions(client, options)],
    ["instrumentSessions", (options) => instrumentSessions(options)],
    ["logSessions", (options) => logSessions(silent, options)],
    ["memoryStore", (options) => memoryStore(options)],
    ["sqliteStore", (options) => sqliteStore(":memory:", options)],
    ["postgresStore", (options) => postgresStore("postgres://localhost/x", options)],
    ["mysqlStore", (options) => mysqlStore("mysql://localhost/x", options)],
    ["expire", (options) => manager().expire(options)],
    ["reseal", (options) => manager().reseal(options)],
    ["scheduleExpiry", async (options) => manager().scheduleExpiry(options)],
  ];
  test.each(takers)(
    "%s: an option that does not exist → it is named, with those that do",
    async (_, take) => {
      await assert.rejects(async () => take({ tabel: 1 }), /`tabel` is not an option\. The options are: /);
    },
  );

  const durations: [taker: string, option: string][] = [
    ["measureSessions", "countEvery"],
    ["sqliteStore", "busyTimeout"],
    ["postgresStore", "connectTimeout"],
    ["mysqlStore", "connectTimeout"],
    ["expire", "maxCreatedAge"],
    ["expire", "maxUpdatedAge"],
    ["expire", "lease"],
    ["reseal", "lease"],
    ["scheduleExpiry", "lease"],
  ];
  test.each(durations)(
    "%s: `%s` as text → taken, and refused where it is no duration",
    async (name, option) => {
      const take = new Map(takers).get(name)!;
      const rest = name === "measureSessions" ? { registry: registry() } : {};
      await take({ ...rest, [option]: "10 s" });
      for (const wrong of ["soon", "10 parsecs", -1, Number.NaN, null])
        await assert.rejects(
          async () => take({ ...rest, [option]: wrong }),
          (error: Error) =>
            (error instanceof TypeError || error instanceof OptionsError) &&
            error.message.includes(
              `\`${option}\` is ${JSON.stringify(wrong) === "null" ? String(wrong) : JSON.stringify(wrong)}: use milliseconds`,
            ),
          String(wrong),
        );
    },
  );
});

test("measureSessions: countEvery as text → the live sessions are counted", async () => {
  const into = registry();
  const stop = measureSessions(client, {
    registry: into,
    countEvery: "10 s",
    sessions: { count: async () => 7 },
  });
  assert.match(await into.metrics(), /^stored_session_live 7$/m);
  stop();
});

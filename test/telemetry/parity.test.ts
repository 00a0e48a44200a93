/** Prometheus and OpenTelemetry measure the same: a metric of one has its counterpart in the other. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import client from "prom-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { instrumentSessions } from "../../src/telemetry/opentelemetry.ts";
import { measureSessions } from "../../src/telemetry/prometheus.ts";

beforeEach(() => void vi.spyOn(process, "emitWarning").mockImplementation(() => {}));
afterEach(() => void vi.restoreAllMocks());

/** OpenTelemetry's name of each metric of Prometheus; with the attribute of each label. */
const counterparts: Record<string, [name: string, labels: Record<string, string>]> = {
  operation_duration_seconds: [
    "db.client.operation.duration",
    { operation: "db.operation.name", outcome: "stored_session.outcome" },
  ],
  written_bytes: ["stored_session.written.size", { operation: "db.operation.name" }],
  batch_size: ["stored_session.batch.size", { operation: "db.operation.name" }],
  writes_total: [
    "stored_session.writes",
    { operation: "db.operation.name", reason: "stored_session.reason" },
  ],
  deleted_total: ["stored_session.deleted", { operation: "db.operation.name" }],
  refusals_total: ["stored_session.refusals", { reason: "stored_session.reason" }],
  cookies_rejected_total: ["stored_session.cookies.rejected", { reason: "stored_session.reason" }],
  conflicts_total: ["stored_session.conflicts", { outcome: "stored_session.outcome" }],
  device_bindings_total: ["stored_session.device.bindings", { outcome: "stored_session.outcome" }],
  device_refusals_total: ["stored_session.device.refusals", { reason: "stored_session.reason" }],
  live: ["stored_session.live", {}],
  ended: ["stored_session.ended", {}],
  rows: ["stored_session.rows", { key: "stored_session.key", place: "stored_session.place" }],
  last_expiry_timestamp_seconds: ["stored_session.last_expiry", {}],
  audit_events_total: [
    "stored_session.audit.events",
    { type: "stored_session.event", outcome: "stored_session.outcome" },
  ],
  audit_lost_total: ["stored_session.audit.lost", {}],
  audit_pending: ["stored_session.audit.pending", {}],
  audit_checkpoints_total: ["stored_session.audit.checkpoints", { outcome: "stored_session.outcome" }],
  audit_anchors_total: ["stored_session.audit.anchors", { outcome: "stored_session.outcome" }],
  audit_verifications_total: ["stored_session.audit.verifications", { outcome: "stored_session.outcome" }],
  audit_problems: ["stored_session.audit.problems", {}],
  audit_last_checkpoint_timestamp_seconds: ["stored_session.audit.last_checkpoint", {}],
};

function reading() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 });
  const provider = new MeterProvider({ readers: [reader] });
  const meter = provider.getMeter("stored-session");
  return {
    meter,
    async metrics(): Promise<Map<string, { value: unknown; attributes: Record<string, unknown> }[]>> {
      const { resourceMetrics } = await reader.collect();
      return new Map(
        resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
          metrics.map(({ descriptor, dataPoints }) => [descriptor.name, [...dataPoints]] as const),
        ) as never,
      );
    },
    shutdown: () => provider.shutdown(),
  };
}

/** Instruments that were created, whether they have values or not. */
function instruments(): { meter: any; names: Set<string> } {
  const names = new Set<string>();
  const make = (name: string) => {
    names.add(name);
    return { add() {}, record() {}, addCallback() {}, removeCallback() {} };
  };
  const meter = {
    createCounter: make,
    createHistogram: make,
    createUpDownCounter: make,
    createGauge: make,
    createObservableGauge: make,
  };
  return { meter, names };
}

test("Prometheus and OpenTelemetry: every metric of one → its counterpart in the other, in the docs of both", () => {
  const registry = new client.Registry();
  const sessions = { count: async () => 0 };
  const stop = measureSessions(client, { registry, sessions });
  const { meter, names } = instruments();
  const stopOther = instrumentSessions({ meter, sessions });
  const metrics = registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[] }[];
  for (const each of [stop, stopOther]) each();

  expect(metrics.map(({ name }) => name.replace("stored_session_", "")).toSorted()).toEqual(
    Object.keys(counterparts).toSorted(),
  );
  expect([...names].toSorted()).toEqual(
    Object.values(counterparts)
      .map(([name]) => name)
      .toSorted(),
  );
  const page = readFileSync(new URL("../../docs/telemetry.md", import.meta.url), "utf8");
  for (const { name, labelNames } of metrics) {
    const [other, labels] = counterparts[name.replace("stored_session_", "")]!;
    assert.deepEqual(labelNames.toSorted(), Object.keys(labels).toSorted(), name);
    const line = page.split("\n").find((each) => each.startsWith("|") && each.includes(`\`${other}\``));
    assert.ok(line, `${other} is not in docs/telemetry.md`);
    for (const attribute of Object.values(labels))
      assert.ok(line.includes(`\`${attribute}\``), `${other}: ${attribute}`);
  }
});

test("OpenTelemetry: live, ended and rows → the values of Prometheus, from one count; none while the store is down", async () => {
  const keys = generateKey();
  const store = sqliteStore(":memory:");
  await store.migrate();
  const day = 86_400_000;
  for (const ago of [0, 40 * day]) {
    const manager = createSessionManager({ store, keys, clock: () => Date.now() - ago });
    for (let nth = 0; nth < 3; nth++) {
      const session = await manager.load(null);
      session.login(`${nth}`);
      await manager.commit(session);
    }
  }
  const sessions = createSessionManager({ store, keys });
  let counts = 0;
  let isDown = false;
  const counted = {
    count: () => sessions.count(),
    census: () => {
      counts++;
      return isDown ? Promise.reject(new Error("down")) : sessions.census();
    },
  };
  const registry = new client.Registry();
  const stopPrometheus = measureSessions(client, { registry, sessions, countEvery: 0 });
  const { meter, metrics, shutdown } = reading();
  const stop = instrumentSessions({ meter, sessions: counted, countEvery: 0 });
  const page = await registry.metrics();
  const now = await metrics();
  assert.equal(counts, 1, "one count for all gauges");
  const only = (name: string) => now.get(name)!.map(({ value }) => value);
  assert.deepEqual([only("stored_session.live"), only("stored_session.ended")], [[3], [3]]);
  assert.match(page, /^stored_session_live 3$/m);
  assert.match(page, /^stored_session_ended 3$/m);
  const [row] = now.get("stored_session.rows")!;
  const { "stored_session.key": key, "stored_session.place": place } = row!.attributes;
  assert.match(
    page,
    new RegExp(`^stored_session_rows\\{key="${key}",place="${place}"\\} ${row!.value}$`, "m"),
  );

  await sessions.expire();
  const after = await metrics();
  assert.deepEqual(
    after.get("stored_session.ended")!.map(({ value }) => value),
    [0],
  );
  assert.equal(after.get("stored_session.last_expiry")!.length, 1);

  isDown = true;
  // The SDK repeats a gauge that is not observed any more, so this looks at what is observed.
  const observed: number[] = [];
  let callback: ((observer: object) => Promise<void>) | undefined;
  const { meter: fake } = instruments();
  fake.createObservableGauge = () => ({
    addCallback: (added: typeof callback) => (callback = added),
    removeCallback() {},
  });
  const stopFake = instrumentSessions({ meter: fake, sessions: counted, countEvery: 0 });
  await callback!({ observe: (value: number) => observed.push(value) });
  assert.deepEqual(observed, []);
  stopFake();

  stop();
  counts = 0;
  await metrics();
  assert.equal(counts, 0, "stopped");
  stopPrometheus();
  await shutdown();
  await sessions.close();
});

test("OpenTelemetry: writes by reason and their sizes → as many as Prometheus counts", async () => {
  const registry = new client.Registry();
  const stopPrometheus = measureSessions(client, { registry });
  const { meter, metrics, shutdown } = reading();
  const stop = instrumentSessions({ meter });
  const sessions = createSessionManager<{ hits: number }>({ store: memoryStore(), keys: generateKey() });
  const session = await sessions.load(null);
  session.data.hits = 1;
  const cookie = (await sessions.commit(session))!.split(";")[0]!;
  const again = await sessions.load(cookie);
  again.login("42");
  await sessions.commit(again);

  const now = await metrics();
  const writes = now.get("stored_session.writes")!.filter(({ value }) => value !== 0);
  const page = await registry.metrics();
  assert.ok(writes.length >= 2);
  for (const { value, attributes } of writes) {
    const labels = `operation="${attributes["db.operation.name"]}",reason="${attributes["stored_session.reason"]}"`;
    assert.ok(page.includes(`stored_session_writes_total{${labels}} ${value}`), labels);
  }
  const sizes = now.get("stored_session.written.size")!;
  assert.equal(
    sizes.reduce((sum, { value }) => sum + (value as { count: number }).count, 0),
    writes.reduce((sum, { value }) => sum + (value as number), 0),
  );
  for (const each of [stop, stopPrometheus]) each();
  await shutdown();
  await sessions.close();
});

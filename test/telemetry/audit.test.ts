/** What the metrics say of the audit trail. */
import assert from "node:assert/strict";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import client from "prom-client";
import { afterEach, beforeEach, test, vi } from "vitest";
import { eventCodes } from "../../src/audit/events.ts";
import {
  createSessionManager,
  generateKey,
  memoryStore,
  type SessionManager,
  type SessionStore,
} from "../../src/index.ts";
import { auditEvents } from "../../src/telemetry/label-values.ts";
import { instrumentSessions } from "../../src/telemetry/opentelemetry.ts";
import { measureSessions } from "../../src/telemetry/prometheus.ts";
import type { AuditOptions } from "../../src/audit/options.ts";
import type { AuditRow, AuditStore } from "../../src/store/audit.ts";

beforeEach(() => void vi.spyOn(process, "emitWarning").mockImplementation(() => {}));
afterEach(() => void vi.restoreAllMocks());

/** A store whose trail can be down, and whose rows can be edited. */
function storeWithTrail() {
  const store = memoryStore();
  const audit = store.audit as { -readonly [Name in keyof AuditStore]: AuditStore[Name] };
  const { commit } = audit;
  const rows: AuditRow[] = [];
  const it = { store, rows, isDown: false };
  audit.commit = (changes, append) => {
    if (it.isDown) return Promise.reject(new Error("down"));
    return commit(changes, (results) => {
      const some = append(results);
      rows.push(...some);
      return some;
    });
  };
  return it;
}

/** Everything that the trail does: it records, loses, queues, signs, fails to sign, verifies what was changed. */
async function life(): Promise<void> {
  const keys = generateKey();
  const it = storeWithTrail();
  let anchored = 0;
  const anchor = () => {
    if (++anchored === 2) throw new Error("the witness is down");
  };
  const manage = ({ store }: { store: SessionStore }, audit: AuditOptions): SessionManager =>
    createSessionManager({ store, keys, audit });
  const sessions = manage(it, { anchor, checkpointEvery: "1 h" });
  await sessions.audit.record("login.failed", { identifier: "ann" });
  await sessions.audit.checkpoint();
  await sessions.audit.record("login.failed", { identifier: "bob" });
  await sessions.audit.checkpoint();
  await sessions.audit.checkpoint();
  assert.equal((await sessions.audit.verify()).ok, true);

  const broken = storeWithTrail();
  broken.isDown = true;
  const lax = manage(broken, { mode: "lax", maxQueue: 2, checkpointEvery: "1 h" });
  for (const identifier of ["1", "2", "3", "4", "5"]) await lax.audit.record("login.failed", { identifier });

  const edited = it.rows.find(({ event }) => event === eventCodes["login.failed"])! as { outcome: number };
  edited.outcome = 0;
  assert.equal((await sessions.audit.verify()).ok, false);
  const last = it.store.audit!.checkpoints;
  it.store.audit!.checkpoints = () => Promise.reject(new Error("down"));
  await assert.rejects(sessions.audit.checkpoint());
  await assert.rejects(sessions.audit.verify());
  it.store.audit!.checkpoints = last;
}

test("metrics of the audit trail: every type of event → its series begins at 0", () => {
  assert.deepEqual(Object.keys(auditEvents).toSorted(), Object.keys(eventCodes).toSorted());
});

test("Prometheus: the audit trail records, loses, queues, signs and verifies → each is counted, and no series is added", async () => {
  const registry = new client.Registry();
  const stop = measureSessions(client, { registry });
  const page = async () =>
    (await registry.metrics()).split("\n").filter((line) => line.startsWith("stored_session_audit_"));
  const seriesOf = (lines: readonly string[]) => lines.map((line) => line.split(" ")[0]!);
  const before = await page();
  assert.ok(
    before.every((line) => line.endsWith(" 0")),
    before.join("\n"),
  );
  await life();
  const after = await page();
  stop();
  const gauges = ["stored_session_audit_last_checkpoint_timestamp_seconds", "stored_session_audit_problems"];
  assert.deepEqual(seriesOf(after).toSorted(), [...seriesOf(before), ...gauges].toSorted());
  for (const line of [
    'stored_session_audit_events_total{type="trail.started",outcome="success"} 1',
    'stored_session_audit_events_total{type="login.failed",outcome="failure"} 2',
    "stored_session_audit_lost_total 3",
    "stored_session_audit_pending 2",
    'stored_session_audit_checkpoints_total{outcome="ok"} 3',
    'stored_session_audit_checkpoints_total{outcome="error"} 1',
    'stored_session_audit_checkpoints_total{outcome="damaged"} 0',
    'stored_session_audit_anchors_total{outcome="ok"} 1',
    'stored_session_audit_anchors_total{outcome="error"} 1',
    'stored_session_audit_verifications_total{outcome="ok"} 1',
    'stored_session_audit_verifications_total{outcome="damaged"} 1',
    'stored_session_audit_verifications_total{outcome="error"} 1',
    "stored_session_audit_problems 1",
  ])
    assert.ok(after.includes(line), `${line}\n${after.join("\n")}`);
  const [signed] = after.filter((line) => line.startsWith(gauges[0]!));
  assert.ok(Math.abs(Number(signed!.split(" ")[1]) - Date.now() / 1_000) < 60);
});

test("Prometheus: an event was edited before it was signed → the run that signs counts as damaged", async () => {
  const registry = new client.Registry();
  const stop = measureSessions(client, { registry });
  const it = storeWithTrail();
  const sessions = createSessionManager({ store: it.store, keys: generateKey(), audit: true });
  await sessions.audit.record("login.failed", { identifier: "ann" });
  (it.rows[1] as { outcome: number }).outcome = 0;
  await sessions.audit.checkpoint();
  assert.match(await registry.metrics(), /^stored_session_audit_checkpoints_total\{outcome="damaged"\} 1$/m);
  await sessions.close();
  stop();
});

test("OpenTelemetry: the audit trail records, loses, queues, signs and verifies → each is counted from 0 on", async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 });
  const metering = new MeterProvider({ readers: [reader] });
  const stop = instrumentSessions({ meter: metering.getMeter("test") });
  const points = async () => {
    await reader.forceFlush();
    const metrics = exporter.getMetrics().at(-1)!.scopeMetrics[0]!.metrics;
    return new Map(
      metrics
        .filter(({ descriptor }) => descriptor.name.startsWith("stored_session.audit."))
        .flatMap(({ descriptor, dataPoints }) =>
          dataPoints.map(({ attributes, value }) => {
            const labels = [attributes["stored_session.event"], attributes["stored_session.outcome"]];
            return [[descriptor.name.slice(21), ...labels.filter(Boolean)].join(" "), Number(value)] as const;
          }),
        ),
    );
  };
  const before = await points();
  assert.deepEqual([...new Set(before.values())], [0]);
  await life();
  const after = await points();
  stop();
  await metering.shutdown();
  const changed = Object.fromEntries([...after].filter(([, value]) => value > 0));
  const { last_checkpoint: lastCheckpoint } = changed;
  assert.ok(lastCheckpoint! > 1.7e9 && lastCheckpoint! <= Date.now() / 1_000, `${lastCheckpoint}`);
  delete changed["last_checkpoint"];
  assert.deepEqual(changed, {
    problems: 1,
    "events trail.started success": 1,
    "events login.failed failure": 2,
    lost: 3,
    pending: 2,
    "checkpoints ok": 3,
    "checkpoints error": 1,
    "anchors ok": 1,
    "anchors error": 1,
    "verifications ok": 1,
    "verifications damaged": 1,
    "verifications error": 1,
  });
  assert.deepEqual(
    [...after.keys()].filter((name) => !before.has(name)),
    ["pending", "problems", "last_checkpoint"],
  );
});

import assert from "node:assert/strict";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import client from "prom-client";
import { describe, test, vi } from "vitest";
import { generateKey, memoryStore, type SessionStore } from "../../src/index.ts";
import { instrumentSessions } from "../../src/telemetry/opentelemetry.ts";
import { channels } from "../../src/telemetry/channels.ts";
import { measureSessions } from "../../src/telemetry/prometheus.ts";
import { StoreUnavailableError } from "../../src/errors.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import { databases } from "../servers/databases.ts";
import { HandClock, manage, visit } from "../jobs/sessions.ts";

const keys = generateKey();

/** A day of a session: made, read, changed by two requests at once, logged in, refused, expired. */
async function day(store: SessionStore = memoryStore()): Promise<{ secrets: string[]; handles: string[] }> {
  const clock = new HandClock();
  const sessions = manage(store, keys, { clock: clock.now });
  const cookie = await visit(sessions);
  const [first, second] = [await sessions.load(cookie), await sessions.load(cookie)];
  first.data.items = ["first"];
  second.data.items!.push("second");
  (second.data as Record<string, unknown>)["more"] = "value-in-clear";
  await sessions.commit(first);
  await sessions.commit(second);
  const third = await sessions.load(cookie);
  third.login("user-in-clear");
  await sessions.commit(third);
  const handles = [first.handle, third.handle];

  // Another application's row is refused.
  const strange = manage(store, keys, { clock: clock.now, app: "another" });
  const strangeCookie = await visit(strange);
  const limited = manage(memoryStore(), keys, { maxSessions: { count: 1, onLimit: "endOldest" } });
  for (let nth = 0; nth < 2; nth++) {
    const login = await limited.load(null);
    login.login("user-in-clear");
    await limited.commit(login);
  }
  const fourth = await sessions.load(strangeCookie);
  assert.deepEqual(fourth.data, {});

  clock.time += 40 * 86_400_000;
  assert.equal(await sessions.expire(), 2);
  return { secrets: [cookie.split("=")[1]!, "user-in-clear", "value-in-clear", keys], handles };
}

function storeThatIsDown(): SessionStore {
  const store = memoryStore();
  store.read = () => Promise.reject(new StoreUnavailableError("Nobody answers."));
  return store;
}

describe("OpenTelemetry", () => {
  test("R2 R48 spans and metrics → name each operation by the hashed id, and nothing that opens a session or names a user", async () => {
    const spans = new InMemorySpanExporter();
    const tracing = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 });
    const metering = new MeterProvider({ readers: [reader] });
    const stop = instrumentSessions({
      tracer: tracing.getTracer("test"),
      meter: metering.getMeter("test"),
      system: "sqlite",
    });
    const { secrets, handles } = await day();
    const failing = manage(storeThatIsDown(), keys);
    await assert.rejects(failing.load(await visit(manage(memoryStore(), keys))));
    stop();
    const counted = spans.getFinishedSpans().length;
    await day();
    assert.equal(spans.getFinishedSpans().length, counted, "stopped is stopped");

    await reader.forceFlush();
    const finished = spans.getFinishedSpans();
    const told = JSON.stringify([
      finished.map(({ name, attributes, status, events }) => ({ name, attributes, status, events })),
      exporter.getMetrics().map(({ scopeMetrics }) => scopeMetrics),
    ]);
    for (const secret of secrets) assert.ok(!told.includes(secret));

    const insert = finished.find(({ name }) => name === "insert stored_sessions")!;
    assert.equal(insert.kind, SpanKind.CLIENT);
    assert.equal(insert.attributes["db.system.name"], "sqlite");
    assert.equal(insert.attributes["db.operation.name"], "insert");
    assert.equal(insert.attributes["session.id"], handles[0]);
    const replace = finished.find(({ name }) => name === "replace stored_sessions")!;
    assert.equal(replace.attributes["session.id"], handles[1]);
    assert.equal(replace.attributes["session.previous_id"], handles[0]);
    assert.equal(replace.attributes["stored_session.reason"], "login");
    const failed = finished.find(({ status }) => status.code === SpanStatusCode.ERROR)!;
    assert.equal(failed.attributes["error.type"], "ERR_STORED_SESSION_STORE_UNAVAILABLE");
    assert.ok(finished.some(({ attributes }) => attributes["stored_session.outcome"] === "not_applied"));

    const metrics = exporter.getMetrics().at(-1)!.scopeMetrics[0]!.metrics;
    const named = (name: string) => metrics.find(({ descriptor }) => descriptor.name === name)!;
    assert.equal(named("db.client.operation.duration").descriptor.unit, "s");
    assert.deepEqual(
      named("stored_session.refusals").dataPoints.find(({ value }) => value === 1)!.attributes,
      {
        "stored_session.reason": "commitment",
      },
    );
    assert.deepEqual(named("stored_session.conflicts").dataPoints[0]!.attributes, {
      "stored_session.outcome": "merged",
    });
    const expired = named("stored_session.deleted").dataPoints.find(
      ({ attributes }) => attributes["db.operation.name"] === "expire",
    )!;
    assert.equal(expired.value, 2);
    const evicted = named("stored_session.deleted").dataPoints.find(
      ({ attributes }) => attributes["db.operation.name"] === "evict",
    )!;
    assert.equal(evicted.value, 1);
    assert.ok(named("stored_session.batch.size").dataPoints.length > 0);
    assert.ok(!JSON.stringify(metrics).includes(handles[0]!), "metrics name no session");
    await metering.shutdown();
  });
});

describe("Prometheus", () => {
  test("R2 R48 metrics → count operations, conflicts, refusals and live sessions, and name none", async () => {
    const registry = new client.Registry();
    const store = memoryStore();
    let counts = 0;
    const sessions = manage(store, keys);
    const stop = measureSessions(client, {
      registry,
      sessions: { count: () => (counts++, sessions.count()) },
    });
    const { secrets, handles } = await day();
    await visit(sessions);
    const page = await registry.metrics();
    assert.match(
      page,
      /stored_session_operation_duration_seconds_count\{operation="insert",outcome="ok"\} 5/,
    );
    assert.match(
      page,
      /stored_session_operation_duration_seconds_count\{operation="update",outcome="not_applied"\} 1/,
    );
    assert.match(page, /stored_session_conflicts_total\{outcome="merged"\} 1/);
    assert.match(page, /stored_session_refusals_total\{reason="commitment"\} 1/);
    assert.match(page, /stored_session_deleted_total\{operation="expire"\} 2/);
    assert.match(page, /stored_session_deleted_total\{operation="evict"\} 1/);
    assert.match(page, /stored_session_writes_total\{operation="replace",reason="login"\} 1/);
    assert.match(page, /stored_session_live 1/);
    assert.match(page, /stored_session_batch_size_count\{operation="read"\} \d+/);
    for (const secret of [...secrets, ...handles]) assert.ok(!page.includes(secret));
    await registry.metrics();
    assert.equal(counts, 1, "a scrape does not count again at once");
    stop();
    assert.equal(await registry.metrics(), "\n");
  });

  test("a cluster whose workers count one table → one figure, not their sum", async () => {
    const workers = [7, 9, 7].map((live) => {
      const registry = new client.Registry();
      return {
        registry,
        stop: measureSessions(client, { registry, sessions: { count: async () => live } }),
      };
    });
    const pages = await Promise.all(workers.map(({ registry }) => registry.getMetricsAsJSON()));
    assert.match(await client.AggregatorRegistry.aggregate(pages).metrics(), /^stored_session_live 9$/m);
    for (const { stop } of workers) stop();
  });

  test("the store is unavailable → the page works, without a figure that looks current", async () => {
    const registry = new client.Registry();
    let up = true;
    const stop = measureSessions(client, {
      registry,
      countEvery: 0,
      sessions: {
        count: () => (up ? Promise.resolve(7) : Promise.reject(new StoreUnavailableError("Nobody answers."))),
      },
    });
    assert.match(await registry.metrics(), /^stored_session_live 7$/m);
    up = false;
    assert.doesNotMatch(await registry.metrics(), /^stored_session_live/m);
    up = true;
    assert.match(await registry.metrics(), /^stored_session_live 7$/m);
    stop();
  });

  test("the database hangs → the page is served; the late answer is on the next one", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const registry = new client.Registry();
      const hung = Promise.withResolvers<number>();
      const stop = measureSessions(client, { registry, sessions: { count: () => hung.promise } });
      const page = registry.metrics();
      await vi.advanceTimersByTimeAsync(10_000);
      assert.doesNotMatch(await page, /^stored_session_live/m);
      hung.resolve(5);
      await hung.promise;
      assert.match(await registry.metrics(), /^stored_session_live 5$/m);
      stop();
    } finally {
      vi.useRealTimers();
    }
  });

  test.each([15_000, 60_000, 300_000])(
    "counts that always take too long → each on a later page, with one every %i ms",
    async (interval) => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
      try {
        const registry = new client.Registry();
        let counts = 0;
        const count = () => new Promise<number>((resolve) => setTimeout(() => resolve(++counts), 4_000));
        const stop = measureSessions(client, { registry, sessions: { count } });
        const figures: (string | undefined)[] = [];
        for (let nth = 0; nth < 12; nth++) {
          const page = registry.metrics();
          await vi.advanceTimersByTimeAsync(3_000);
          figures.push(/^stored_session_live (\d+)$/m.exec(await page)?.[1]);
          await vi.advanceTimersByTimeAsync(interval - 3_000);
        }
        assert.deepEqual([figures[0], figures[1]], [undefined, "1"]);
        assert.ok(!figures.slice(1).includes(undefined), figures.join());
        if (interval >= 120_000)
          assert.deepEqual(
            figures.slice(1),
            Array.from({ length: 11 }, (_, n) => `${n + 1}`),
          );
        stop();
      } finally {
        vi.useRealTimers();
      }
    },
  );

  test("the database hangs → the last figure leaves the page when it is twice as old as it may be", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      const registry = new client.Registry();
      const answers = [Promise.resolve(7), new Promise<number>(() => {})];
      const stop = measureSessions(client, { registry, sessions: { count: () => answers.shift()! } });
      assert.match(await registry.metrics(), /^stored_session_live 7$/m);
      await vi.advanceTimersByTimeAsync(116_999);
      const last = registry.metrics();
      await vi.advanceTimersByTimeAsync(3_000);
      assert.match(await last, /^stored_session_live 7$/m);
      const none = registry.metrics();
      await vi.advanceTimersByTimeAsync(3_000);
      assert.doesNotMatch(await none, /^stored_session_live/m);
      stop();
    } finally {
      vi.useRealTimers();
    }
  });
});

test("metrics and channels: docs and dashboard → name all that exist, and no others", async () => {
  const { readFileSync } = await import("node:fs");
  const docs = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");
  const registry = new client.Registry();
  const stop = measureSessions(client, { registry, sessions: { count: async () => 0 } });
  const metrics = registry.getMetricsAsArray().map(({ name }) => name);
  stop();
  const page = docs("telemetry.md");
  for (const name of metrics) assert.ok(page.includes(`\`${name}\``), name);
  const shown = new Set(docs("grafana-dashboard.json").match(/stored_session_[a-z_]+/g));
  const known = new Set(metrics.flatMap((name) => [name, `${name}_count`, `${name}_sum`, `${name}_bucket`]));
  for (const name of shown) assert.ok(known.has(name), name);
  for (const name of metrics)
    assert.ok(
      [...shown].some((one) => one.startsWith(name)),
      `${name} is not on the dashboard`,
    );

  const source = readFileSync(new URL("../../src/telemetry/channels.ts", import.meta.url), "utf8");
  for (const [, name] of source.matchAll(/"(stored-session\.\w+)"/g))
    assert.ok(page.includes(`\`${name!}\``), name);
});

test("R2 R48 a payload → the keys that docs list for its channel, and no others", async () => {
  const { readFileSync } = await import("node:fs");
  const page = readFileSync(new URL("../../docs/telemetry.md", import.meta.url), "utf8");
  const listed = Object.fromEntries(
    [...page.matchAll(/^\| `stored-session\.(\w+)` \| (.*) \|$/gm)].map(([, name, payload]) => [
      name!,
      [...payload!.matchAll(/`(\w+)`/g)].map(([, key]) => key!).toSorted(),
    ]),
  );

  const payloads: [name: string, payload: object][] = [];
  const stops: (() => void)[] = [];
  for (const [name, channel] of Object.entries(channels)) {
    const note = (payload: unknown) => void payloads.push([name, { ...(payload as object) }]);
    if ("asyncEnd" in channel) {
      const subscribers = { start: note, end: note, asyncStart: note, asyncEnd: note, error: note };
      channel.subscribe(subscribers);
      stops.push(() => channel.unsubscribe(subscribers));
    } else {
      channel.subscribe(note);
      stops.push(() => channel.unsubscribe(note));
    }
  }
  await day();
  const clock = new HandClock();
  const deviceBinding = { mode: "offer" } as const;
  const sessions = manage(memoryStore(), keys, { clock: clock.now, deviceBinding });
  const cookie = await visit(sessions, "user-in-clear");
  clock.time += 86_400_000;
  await sessions.commit(await sessions.load(cookie)); // a touch
  const session = await sessions.load(cookie);
  session.destroy();
  await sessions.commit(session);
  await visit(sessions, "user-in-clear");
  assert.equal(await sessions.forUser("user-in-clear").revokeAll(), 1);
  await sessions.close();
  const recorded = manage(memoryStore(), keys, { audit: true });
  await visit(recorded, "user-in-clear");
  await recorded.audit.verify();
  await recorded.close();
  for (const stop of stops) stop();

  const told: Record<string, string[]> = {};
  for (const [name, payload] of payloads) {
    for (const [key, value] of Object.entries(payload)) {
      if (value === undefined) continue; // as `result` is
      assert.ok(["string", "number", "boolean"].includes(typeof value), `${name}: ${key} is an object`);
      told[name] = [...new Set([...(told[name] ?? []), key])].toSorted();
    }
  }
  assert.deepEqual(told, listed);
});

test("Prometheus: before the first event → every series of every counter is there at 0, and none is added by a day", async () => {
  const registry = new client.Registry();
  const stop = measureSessions(client, { registry });
  const series = async () =>
    (await registry.metrics())
      .split("\n")
      .flatMap((line) => /^(\S+(?:_total|_count)\{.*?\})/.exec(line)?.[1] ?? []);
  const before = await series();
  for (const name of [
    'stored_session_refusals_total{reason="commitment"}',
    'stored_session_conflicts_total{outcome="failed"}',
    'stored_session_deleted_total{operation="revoke-all"}',
    'stored_session_writes_total{operation="replace",reason="login"}',
    'stored_session_operation_duration_seconds_count{operation="read",outcome="error"}',
    'stored_session_cookies_rejected_total{reason="unknown_key"}',
  ])
    assert.ok(before.includes(name), name);
  const page = await registry.metrics();
  for (const limit of ["2.5", "10"]) assert.ok(page.includes(`_seconds_bucket{le="${limit}",`), limit);
  await day();
  assert.deepEqual((await series()).toSorted(), before.toSorted());
  stop();
});

test("R48 Prometheus: rows under very many unknown keys → 16 of them have a series, the others one together", async () => {
  const store = memoryStore();
  const ring = generateKey();
  const rows = Array.from({ length: 40 }, (_, nth) => ({
    key: nth.toString(16).padStart(8, "0"),
    live: nth,
    ended: 1,
  }));
  store.census = async () => rows;
  const sessions = manage(store, ring);
  const census = await sessions.census();
  assert.equal(census!.keys.length, 1 + 16 + 1);
  assert.deepEqual(census!.keys[1], { key: "00000027", place: "unknown", rows: 40 });
  const others = Array.from({ length: 24 }, (_, nth) => nth + 1).reduce((sum, count) => sum + count);
  assert.deepEqual(census!.keys.at(-1), { key: "other", place: "unknown", rows: others });
  await sessions.close();
});

test("docs/alerts.yaml: parsed → every rule is complete, and names only metrics and label values that exist", async () => {
  const { readFileSync } = await import("node:fs");
  const { parse } = await import("yaml");
  const file = parse(readFileSync(new URL("../../docs/alerts.yaml", import.meta.url), "utf8"));
  const registry = new client.Registry();
  const keysOf = ["newest", "older", "unknown"].map((place) => ({ key: place, place, rows: 1 }));
  const census = async () => ({ live: 1, ended: 1, keys: keysOf });
  const stop = measureSessions(client, { registry, sessions: { count: async () => 0, census } });
  channels.audit.publish({ operation: "checkpoint", outcome: "ok" });
  const page = await registry.metrics();
  stop();
  const rules = file.groups.flatMap((group: any) => group.rules);
  assert.ok(rules.length >= 5);
  assert.ok(rules.some(({ expr }: any) => expr.includes("stored_session_cookies_rejected_total")));
  for (const { alert, expr, labels, annotations } of rules) {
    assert.match(alert, /^StoredSession[A-Za-z]+$/);
    assert.match(labels.severity, /^(warning|critical)$/);
    assert.ok(annotations.summary && annotations.description, alert);
    const selectors = [...expr.matchAll(/(stored_session_\w+)(?:\{(\w+="\w+")\})?/g)];
    assert.ok(selectors.length > 0, alert);
    for (const [, name, label] of selectors) {
      const found = page
        .split("\n")
        .some((l) => (l.startsWith(`${name}{`) || l.startsWith(`${name} `)) && (!label || l.includes(label)));
      assert.ok(found, `${alert}: ${name}{${label ?? ""}}`);
    }
  }
});

for (const database of [
  ...databases,
  {
    name: "memory",
    createStore: async () => ({ store: memoryStore(), [Symbol.asyncDispose]: async () => {} }),
  },
]) {
  test(`Prometheus, ${database.name}: ended rows, rows per key and the last expiry → one count of the table for all`, async () => {
    await using created = await database.createStore();
    const { store } = created;
    await store.migrate();
    const [older, newest, lost] = [generateKey(), generateKey(), generateKey()];
    const clock = new HandClock();
    const begin = (ring: string, times: number) => {
      const sessions = manage(store, ring, { clock: clock.now });
      return Promise.all(Array.from({ length: times }, () => visit(sessions)));
    };
    await begin(older, 2);
    await begin(lost, 1);
    clock.time += 40 * 86_400_000;
    await begin(`${newest},${older}`, 3);

    const sessions = manage(store, `${newest},${older}`, { clock: clock.now });
    const count = store.count.bind(store);
    let counted = 0;
    store.count = (now: number) => (counted++, count(now));
    const registry = new client.Registry();
    const stop = measureSessions(client, { registry, sessions, countEvery: 0 });
    const nameOf = (key: string) => KeyRing.from(key).newest.name;
    const page = await registry.metrics();
    const has = (line: string) => assert.ok(page.includes(`\n${line}\n`), `${line}\n${page}`);
    has("stored_session_live 3");
    has("stored_session_ended 3");
    has(`stored_session_rows{key="${nameOf(newest)}",place="newest"} 3`);
    has(`stored_session_rows{key="${nameOf(older)}",place="older"} 2`);
    has(`stored_session_rows{key="${nameOf(lost)}",place="unknown"} 1`);
    assert.equal(counted, 0, "a second pass over the table");
    assert.doesNotMatch(page, /^stored_session_last_expiry/m);

    assert.equal(await sessions.expire(), 3);
    const after = await registry.metrics();
    assert.match(after, /^stored_session_ended 0$/m);
    assert.match(after, new RegExp(`^stored_session_rows\\{key="${nameOf(older)}",place="older"\\} 0$`, "m"));
    assert.doesNotMatch(after, /unknown"\} 1/);
    const last = Number(/^stored_session_last_expiry_timestamp_seconds ([\d.]+)$/m.exec(after)?.[1]);
    assert.ok(Math.abs(last - Date.now() / 1_000) < 60);
    stop();
  });
}

/** docs/alerts.yaml with Prometheus' own tool. What the metrics are called is in telemetry.test.ts. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, test } from "vitest";
import { parse } from "yaml";
import { promtoolFolder } from "../../scripts/services/clients.ts";

const rules = join(import.meta.dirname, "../../docs/alerts.yaml");
let promtool: string;
beforeAll(async () => {
  promtool = join(await promtoolFolder(), "promtool");
}, 300_000);

test("docs/alerts.yaml: promtool check rules → no complaint", () => {
  assert.match(
    execFileSync(promtool, ["check", "rules", rules], { encoding: "utf8" }),
    /SUCCESS: \d+ rules found/,
  );
});

/** What a rule says of an alert with these labels. */
function annotationsOf(alertname: string, labels: Record<string, string>): Record<string, string> {
  const { groups } = parse(readFileSync(rules, "utf8"));
  const { annotations } = groups
    .flatMap((group: any) => group.rules)
    .find(({ alert }: any) => alert === alertname);
  const filled = (text: string) =>
    text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, name: string) => labels[name]!);
  return Object.fromEntries(Object.entries<string>(annotations).map(([name, text]) => [name, filled(text)]));
}

interface Expected {
  readonly series: Readonly<Record<string, string>>;
  /** Alerts that fire, with their labels. */
  readonly firing: Readonly<Record<string, Record<string, string>>>;
  readonly quiet: readonly string[];
}

/** Lets promtool play series of a sample each minute, and compares what fires after a quarter of an hour. */
function assertAlerts({ series, firing, quiet }: Expected): void {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-alerts-"));
  const cases = {
    rule_files: [rules],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        alert_rule_test: [
          ...Object.entries(firing).map(([alertname, labels]) => ({
            eval_time: "15m",
            alertname,
            exp_alerts: [{ exp_labels: labels, exp_annotations: annotationsOf(alertname, labels) }],
          })),
          ...quiet.map((alertname) => ({ eval_time: "15m", alertname, exp_alerts: [] })),
        ],
      },
    ],
  };
  try {
    const file = join(folder, "test.yaml");
    writeFileSync(file, JSON.stringify(cases));
    assert.match(execFileSync(promtool, ["test", "rules", file], { encoding: "utf8" }), /SUCCESS/);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const read = (instance: string): string =>
  `stored_session_operation_duration_seconds_count{instance="${instance}",operation="read",outcome="ok"}`;

test("docs/alerts.yaml: a key is removed too early, a row does not open → these alerts fire, and no other", () => {
  assertAlerts({
    series: {
      'stored_session_cookies_rejected_total{instance="a",reason="unknown_key"}': "0+60x30",
      'stored_session_cookies_rejected_total{instance="a",reason="malformed"}': "0+600x30",
      [read("a")]: "0+6x30",
      'stored_session_cookies_rejected_total{instance="b",reason="unknown_key"}': "0x30",
      [read("b")]: "0+60x30",
      'stored_session_refusals_total{reason="key"}': "0x10 1x20",
      'stored_session_refusals_total{reason="tag"}': "0x30",
    },
    firing: {
      StoredSessionKeyMissing: { severity: "critical", instance: "a" },
      StoredSessionRowsRefused: { severity: "warning", reason: "key" },
    },
    quiet: ["StoredSessionOperationsFail", "StoredSessionSlow", "StoredSessionRowsUnderUnknownKey"],
  });
});

test("docs/alerts.yaml: every tenth cookie of a small site is rejected → a warning; forged cookies among many → none", () => {
  assertAlerts({
    series: {
      'stored_session_cookies_rejected_total{instance="a",reason="unknown_key"}': "0+2x30",
      [read("a")]: "0+20x30",
    },
    firing: { StoredSessionCookiesRejected: { severity: "warning" } },
    quiet: ["StoredSessionKeyMissing"],
  });
  assertAlerts({
    series: {
      'stored_session_cookies_rejected_total{instance="a",reason="unknown_key"}': "0+60x30",
      [read("a")]: "0+60000x30",
    },
    firing: {},
    quiet: ["StoredSessionKeyMissing", "StoredSessionCookiesRejected"],
  });
});

const trail = (name: string): string => `stored_session_audit_${name}`;
const allAudit = ["Damaged", "EventsLost", "NotSigned", "NotAnchored"].map(
  (name) => `StoredSessionAudit${name}`,
);

test("docs/alerts.yaml: an event was edited, events were lost, nothing is signed or anchored → an alert each", () => {
  assertAlerts({
    series: {
      [trail('checkpoints_total{outcome="damaged"}')]: "0x10 1x20",
      [trail('verifications_total{outcome="damaged"}')]: "0x30",
      [trail("lost_total")]: "0x10 5x20",
      [trail("last_checkpoint_timestamp_seconds")]: "60x30",
      [trail('anchors_total{outcome="error"}')]: "0x5 1+1x25",
    },
    firing: {
      StoredSessionAuditDamaged: { severity: "critical" },
      StoredSessionAuditEventsLost: { severity: "warning" },
      StoredSessionAuditNotSigned: { severity: "warning" },
      StoredSessionAuditNotAnchored: { severity: "warning" },
    },
    quiet: [],
  });
});

test("docs/alerts.yaml: events are written and no process has ever signed → an alert; the trail is off → none", () => {
  const events = trail('events_total{type="login",outcome="success"}');
  assertAlerts({
    series: { [events]: "0+1x30" },
    firing: { StoredSessionAuditNotSigned: { severity: "warning" } },
    quiet: [],
  });
  assertAlerts({ series: { [events]: "0x30" }, firing: {}, quiet: allAudit });
});

test("docs/alerts.yaml: a verification found damage → one alert; a trail in good order → none", () => {
  assertAlerts({
    series: {
      [trail('checkpoints_total{outcome="damaged"}')]: "0x30",
      [trail('verifications_total{outcome="damaged"}')]: "0x10 1x20",
    },
    firing: { StoredSessionAuditDamaged: { severity: "critical" } },
    quiet: [],
  });
  assertAlerts({
    series: {
      [trail('checkpoints_total{outcome="damaged"}')]: "0x30",
      [trail('verifications_total{outcome="damaged"}')]: "0x30",
      [trail("lost_total")]: "0x30",
      [trail("last_checkpoint_timestamp_seconds")]: "0+60x30",
      [trail('anchors_total{outcome="error"}')]: "0x10 1x20",
    },
    firing: {},
    quiet: allAudit,
  });
});

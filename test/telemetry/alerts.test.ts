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

test("docs/alerts.yaml: a key is removed too early, a row does not open → these alerts fire, and no other", () => {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-alerts-"));
  const firing: Record<string, Record<string, string>> = {
    StoredSessionCookiesRejected: { severity: "critical" },
    StoredSessionRowsRefused: { severity: "warning", reason: "key" },
  };
  const quiet = ["StoredSessionOperationsFail", "StoredSessionSlow", "StoredSessionRowsUnderUnknownKey"];
  const cases = {
    rule_files: [rules],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: [
          { series: 'stored_session_cookies_rejected_total{reason="unknown_key"}', values: "0+60x30" },
          { series: 'stored_session_cookies_rejected_total{reason="malformed"}', values: "0+600x30" },
          { series: 'stored_session_refusals_total{reason="key"}', values: "0x10 1x20" },
          { series: 'stored_session_refusals_total{reason="tag"}', values: "0x30" },
        ],
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
});

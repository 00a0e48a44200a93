import { auditEvents, trailOutcomes } from "./label-values.ts";
import { listen } from "./operations.ts";
import type { TrailEvent } from "./channels.ts";
import type { PrometheusClient } from "./prometheus-client.ts";

type About = (name: string, help: string, labelNames?: string[], rest?: object) => object;

/** Counts what the audit trail does, until the returned function is called. */
export function measureTrail(client: PrometheusClient, about: About): () => void {
  const events = new client.Counter(
    about("audit_events_total", "Events stored in the audit trail, by type and outcome.", [
      "type",
      "outcome",
    ]),
  );
  const lost = new client.Counter(
    about("audit_lost_total", "Events of the audit trail that did not fit into the queue of lax mode."),
  );
  const pending = new client.Gauge(
    about("audit_pending", "Events of the audit trail in the queue of lax mode."),
  );
  const checkpoints = new client.Counter(
    about("audit_checkpoints_total", "Runs that sign the audit trail, by outcome: ok, error or damaged.", [
      "outcome",
    ]),
  );
  const anchors = new client.Counter(
    about("audit_anchors_total", "Checkpoints passed to the anchor, by outcome: ok or error.", ["outcome"]),
  );
  const verifications = new client.Counter(
    about(
      "audit_verifications_total",
      "Verifications of the audit trail, by outcome: ok, error or damaged.",
      ["outcome"],
    ),
  );
  const shared = { aggregator: "max" };
  const problems = new client.Gauge(
    about("audit_problems", "Problems that the last verification of this process found.", [], shared),
  );
  const lastCheckpoint = new client.Gauge(
    about(
      "audit_last_checkpoint_timestamp_seconds",
      "Time at which this process last signed the audit trail, or found nothing to sign.",
      [],
      shared,
    ),
  );
  for (const [type, outcomes] of Object.entries(auditEvents))
    for (const outcome of outcomes) events.inc({ type, outcome }, 0);
  for (const outcome of trailOutcomes.checkpoint) checkpoints.inc({ outcome }, 0);
  for (const outcome of trailOutcomes.anchor) anchors.inc({ outcome }, 0);
  for (const outcome of trailOutcomes.verify) verifications.inc({ outcome }, 0);
  // Before the first one there is nothing to report.
  problems.remove();
  lastCheckpoint.remove();

  return listen<TrailEvent>("audit", ({ operation, type, outcome, count = 0 }) => {
    switch (operation) {
      case "record":
        return events.inc({ type, outcome });
      case "lose":
        return lost.inc({}, count);
      case "queue":
        return pending.set(count);
      case "checkpoint":
        if (outcome === "ok") lastCheckpoint.set(Date.now() / 1_000);
        return checkpoints.inc({ outcome });
      case "anchor":
        return anchors.inc({ outcome });
      case "verify":
        if (outcome !== "error") problems.set(count);
        return verifications.inc({ outcome });
    }
  });
}

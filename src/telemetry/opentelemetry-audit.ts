import { auditEvents, trailOutcomes } from "./label-values.ts";
import { listen } from "./operations.ts";
import type { TrailEvent } from "./channels.ts";
import type { TelemetryMeter } from "./opentelemetry-api.ts";

/** Counts what the audit trail does, until the returned function is called. */
export function measureTrail(meter: TelemetryMeter): () => void {
  const events = meter.createCounter("stored_session.audit.events", {
    description: "Events stored in the audit trail.",
    unit: "{event}",
  });
  const lost = meter.createCounter("stored_session.audit.lost", {
    description: "Events of the audit trail that did not fit into the queue of lax mode.",
    unit: "{event}",
  });
  const runs = {
    checkpoint: meter.createCounter("stored_session.audit.checkpoints", {
      description: "Runs that sign the audit trail.",
      unit: "{run}",
    }),
    anchor: meter.createCounter("stored_session.audit.anchors", {
      description: "Checkpoints passed to the anchor.",
      unit: "{checkpoint}",
    }),
    verify: meter.createCounter("stored_session.audit.verifications", {
      description: "Verifications of the audit trail.",
      unit: "{run}",
    }),
  };
  const pending = meter.createUpDownCounter?.("stored_session.audit.pending", {
    description: "Events of the audit trail in the queue of lax mode.",
    unit: "{event}",
  });
  const problems = meter.createGauge?.("stored_session.audit.problems", {
    description: "Problems that the last verification of this process found.",
    unit: "{problem}",
  });
  const lastCheckpoint = meter.createGauge?.("stored_session.audit.last_checkpoint", {
    description: "Unix time at which this process last signed the audit trail, or found nothing to sign.",
    unit: "s",
  });
  for (const [type, outcomes] of Object.entries(auditEvents))
    for (const outcome of outcomes) events.add(0, attributes(outcome, type));
  lost.add(0);
  for (const name of ["checkpoint", "anchor", "verify"] as const)
    for (const outcome of trailOutcomes[name]) runs[name].add(0, attributes(outcome));
  let waiting = 0;
  return listen<TrailEvent>("audit", ({ operation, type, outcome = "unknown", count = 0 }) => {
    if (operation === "record") events.add(1, attributes(outcome, type));
    else if (operation === "lose") lost.add(count);
    else if (operation === "queue") {
      pending?.add(count - waiting);
      waiting = count;
    } else {
      if (operation === "checkpoint" && outcome === "ok") lastCheckpoint?.record(Date.now() / 1_000);
      if (operation === "verify" && outcome !== "error") problems?.record(count);
      runs[operation].add(1, attributes(outcome));
    }
  });
}

function attributes(outcome: string, type?: string): Record<string, string> {
  return {
    ...(type !== undefined && { "stored_session.event": type }),
    "stored_session.outcome": outcome,
  };
}

import { number } from "../shared/wording.ts";
import { html, type Html } from "./html.ts";
import { table } from "./layout.ts";
import type { View } from "./view.ts";

/** Each event stands for all refusals with one reason between two checkpoints, so few of them cover many refusals. */
const NEWEST = 200;

/** Refusals by reason. The reason is encrypted, so the newest events are read. */
export async function refusalsIn({ sessions }: View, since: number): Promise<Html> {
  const reasons = new Map<string, number>();
  let seen = 0;
  for await (const { reason = "unknown", count } of sessions.audit.list({
    types: ["refusal"],
    since: new Date(since),
    newestFirst: true,
    limit: NEWEST,
  })) {
    reasons.set(reason, (reasons.get(reason) ?? 0) + count);
    seen++;
  }
  if (reasons.size === 0) return html`<p class="muted">Nothing was refused.</p>`;
  const rows = [...reasons]
    .toSorted(([, a], [, b]) => b - a)
    .map(([reason, count]) => [reason, number(count)]);
  return html`${table("Refusals by reason", ["Reason", "Refused"], rows, ["Refused"])}
  ${seen === NEWEST && html`<p class="muted">From the newest ${number(NEWEST)} records of this period.</p>`}`;
}

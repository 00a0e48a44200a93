import { html, type Html } from "./html.ts";
import { notice } from "./layout.ts";

/** Says under which settings the database can lose sessions; nothing where there are none. */
export function durabilityNotice(warnings: readonly string[]): Html | null {
  if (warnings.length === 0) return null;
  return notice(
    "warn",
    html`<strong>The database can lose acknowledged sessions.</strong> ${warnings.join(" ")} See
      <code>stored-session check</code>.`,
  );
}

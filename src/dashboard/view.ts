import type { AuditEventType } from "../audit/events.ts";
import type { SessionManager } from "../manager.ts";
import type { Records } from "../session/records.ts";
import type { Counts } from "./counts.ts";
import type { Durability } from "./durability.ts";
import { html, type Html, type Part } from "./html.ts";
import { notice, type Frame } from "./layout.ts";
import type { Meter } from "./meter.ts";
import type { DashboardAccess, DashboardOptions, DashboardPermission } from "./options.ts";
import { ID_BYTES } from "./sample.ts";
import { idOf } from "../session/handle.ts";

/** What a page is made from: who asks for what, and where the answers are. */
export interface View {
  readonly options: DashboardOptions;
  readonly sessions: SessionManager<any>;
  readonly records: Records;
  /** Null where the audit trail is off. */
  readonly counts: Counts | null;
  readonly meter: Meter;
  readonly durability: Durability;
  readonly access: DashboardAccess;
  /** What stands before the path of every page, in browsers. */
  readonly base: string;
  readonly query: URLSearchParams;
  /** The fields of a form that was sent; empty for a GET. */
  readonly form: URLSearchParams;
  readonly formToken: string;
  readonly signal: AbortSignal;
}

export function may({ access }: View, permission: DashboardPermission): boolean {
  return access.may.includes(permission);
}

/** Whether this can be the handle of a session. Anything else must not get into an event, where its row has an id. */
export function isHandle(text: string): boolean {
  return idOf(text)?.length === ID_BYTES;
}

/** The address of a page, with its query. Undefined and empty values are left out. */
export function pathTo(
  { base }: Pick<View, "base">,
  path: string,
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const text = new URLSearchParams(
    Object.entries(query).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "",
    ),
  ).toString();
  return base + path + (text === "" ? "" : `?${text}`);
}

/** A form that changes or records something. */
export function postForm(
  view: View,
  path: string,
  fields: Readonly<Record<string, string>>,
  ...content: readonly Part[]
): Html {
  const hidden = { token: view.formToken, ...fields };
  return html`<form class="line" method="post" action="${pathTo(view, path)}">
    ${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
    ${content}
  </form>`;
}

/** Whether there is an audit trail, so that pages may promise a record. */
export function isRecorded({ records }: View): boolean {
  return records.recorder !== null;
}

export function frameOf(view: View): Frame {
  return { base: view.base, actor: view.access.actor, isRecorded: isRecorded(view) };
}

/** Nothing without a trail: nobody could read the reason. */
export function reasonField(view: View): Part {
  return (
    isRecorded(view) &&
    html`<label
      >Reason, for the audit trail
      <input type="text" name="reason" required maxlength="300" autocomplete="off"
    /></label>`
  );
}

export const reasonMissing = "Type a reason. It is recorded in the audit trail with your name.";

/** The reason that the operator typed; null if it is missing. Without a trail, none is asked for. */
export function reasonIn(view: View): string | null {
  const reason = view.form.get("reason")?.trim() ?? "";
  return reason === "" && isRecorded(view) ? null : reason.slice(0, 300);
}

/** After a form that ends sessions. It claims nothing: anybody can make a link with `ended` in it. */
export function endNotice({ query }: View): Part {
  return query.has("ended") && notice("info", "End requested. What this page shows is current.");
}

/**
 * Records what the operator did, where there is a trail: before they see what it is about, also in "lax" mode.
 * @throws {StoreError} it was not recorded
 */
export async function record(
  { records, access }: View,
  type: AuditEventType,
  about: {
    readonly user?: string | undefined;
    readonly handle?: string;
    readonly reason?: string;
    readonly count?: number;
  },
): Promise<void> {
  const { user, handle, reason, count } = about;
  await records.recorder?.trail.recordNow({
    type,
    ...(user !== undefined && { who: { user } }),
    ...(handle !== undefined && { session: idOf(handle) }),
    ...(count !== undefined && { count }),
    content: { actor: access.actor, reason, details: { page: "dashboard" } },
  });
}

import type { RefusedError } from "../errors.ts";
import { recordsOf } from "../manager.ts";
import { refusalOf } from "../operator/admin.ts";
import { clockTolerance } from "../session/lifetime.ts";
import type { Records } from "../session/records.ts";
import { wholeRows } from "../session/whole-rows.ts";
import type { SqlStore } from "../sql/sql-store.ts";
import type { RowInfo } from "../store/row.ts";
import type { Configuration } from "./configuration.ts";
import { number, plural } from "../shared/wording.ts";
import { missingKeyAdvice } from "./missing-key.ts";
import { otherSettings } from "./work.ts";

/** One line of the report of `check`. */
export interface Finding {
  readonly about: string;
  readonly level: "good" | "warning" | "problem";
  readonly message: string;
}

export type Add = (about: string, level: Finding["level"], message: string) => void;

/** Checks that the keys and options open stored sessions, and that their times are plausible. */
export async function checkRows(configuration: Configuration, store: SqlStore, add: Add): Promise<void> {
  const records = recordsOf(configuration.sessions as never);
  const { format } = records.settings;
  if (format.keyNames === undefined || format.sealedUnder === undefined) return;
  const rows = await store.scanInfo(null, 1_000);
  const strange = rows
    .map(({ head, client }) => format.sealedUnder!({ data: head, client }).data)
    .filter((key) => key === null || !format.keyNames!.includes(key));
  if (strange.length > 0) {
    const keys = [...new Set(strange)].map((key) => key ?? "no envelope").join(", ");
    add(
      "Rows",
      "problem",
      `of ${plural(rows.length, "row")} looked at, ${number(strange.length)} are under keys that are not in the ring (${keys}): these users are logged out. ${missingKeyAdvice}`,
    );
  } else if (rows.length > 0) add("Rows", "good", `the keys fit the ${plural(rows.length, "row")} looked at`);
  await checkOpening(configuration, records, rows, add);
}

/** Examines all rows, because few have such times and they may be anywhere. */
export async function checkTimesOf(store: SqlStore, now: number, add: Add): Promise<void> {
  const { names } = store.database.dialect;
  const text = `SELECT COUNT(*) AS count FROM ${names.sessions} WHERE created_at > ${Math.floor(now) + clockTolerance}`;
  const { rows } = await store.database.run({ text, values: [], writes: false, long: true });
  const count = Number(rows[0]?.["count"]);
  if (count === 0) return;
  add(
    "Rows",
    "warning",
    `${plural(count, "session")} ${count === 1 ? "was" : "were"} created in the future, more than 5 minutes from now: a server's clock is or was ahead, or this machine's is behind. Such sessions are refused, and expire deletes them.`,
  );
}

/** The keys may be right although other options keep rows from opening. */
async function checkOpening(
  configuration: Configuration,
  records: Records,
  rows: readonly RowInfo[],
  add: Add,
): Promise<void> {
  const refusals: (RefusedError | null)[] = [];
  for await (const row of wholeRows(records, rows)) {
    const refusal = refusalOf(records, row);
    if (refusal?.reason !== "key") refusals.push(refusal);
  }
  const refused = refusals.filter((refusal) => refusal !== null);
  if (refused.length === 0) return;
  add(
    "Rows",
    refused.length === refusals.length ? "problem" : "warning",
    `of ${plural(refusals.length, "row")} under these keys, ${number(refused.length)} do not open. ${refused[0]!.message}${otherSettings(configuration, refused[0]!.reason)}`,
  );
}

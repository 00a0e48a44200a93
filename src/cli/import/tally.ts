import type { Refreshed } from "../../session/imported.ts";
import { number, plural } from "../../shared/wording.ts";
import { printable } from "../../shared/printable.ts";

/** Why a session was not imported. */
export type SkipReason =
  /** it had ended */
  | "ended"
  /** its text is not a JSON object, or its id no text */
  | "unreadable"
  /** it holds what ours cannot hold, or is too large */
  | "notStorable"
  /** an earlier run imported it; with --refresh: and it did not change */
  | "importedBefore"
  /** --refresh: it has ended since its import */
  | "endedSince"
  /** --refresh: the application has written it since its import */
  | "changedSince"
  /** a session of that id is there that no run imported */
  | "thereAlready";

export interface Skipped {
  /** The handle that it would have: its id is a secret and is not told. */
  readonly handle: string;
  readonly reason: SkipReason;
  readonly detail: string | null;
}

/** What an import did. */
export interface Tally {
  /** Nothing was written: the figures are what a run would do. */
  readonly dryRun: boolean;
  read: number;
  imported: number;
  /** Of those imported: with a user, so that they are found by it. */
  withUser: number;
  /** Imported before and written again, because they changed in the other table. */
  refreshed: number;
  skipped: Record<SkipReason, number>;
  /** The first of those that could not be read or stored. */
  examples: Skipped[];
  finished: boolean;
}

const mostExamples = 10;

const words: Readonly<Record<SkipReason, string>> = {
  ended: "ended",
  unreadable: "unreadable",
  notStorable: "not storable",
  importedBefore: "imported before",
  endedSince: "ended since their import",
  changedSince: "changed here since their import",
  thereAlready: "there already",
};

export function newTally(dryRun: boolean): Tally {
  const skipped = {
    ended: 0,
    unreadable: 0,
    notStorable: 0,
    importedBefore: 0,
    endedSince: 0,
    changedSince: 0,
    thereAlready: 0,
  };
  return { dryRun, read: 0, imported: 0, withUser: 0, refreshed: 0, skipped, examples: [], finished: false };
}

/** Takes each session that could not be imported, with the SQL or command that finds it: null where there is none. */
export interface LeftOutList {
  add(skipped: Skipped, find: string | null): void;
}

/** Counts a row that is left out, and lists it. */
export function note(tally: Tally, skipped: Skipped, list: LeftOutList | null, find: string | null): void {
  tally.skipped[skipped.reason]++;
  if (skipped.reason === "ended") return;
  list?.add(skipped, find);
  if (tally.examples.length < mostExamples) tally.examples.push(skipped);
}

export function noteRefreshed(tally: Tally, answer: Refreshed): void {
  if (answer === "refreshed") tally.refreshed++;
  else tally.skipped[answer === "unchanged" ? "importedBefore" : answer]++;
}

export function lines(tally: Tally, file: string | null): string[] {
  const { dryRun, read, imported, withUser, refreshed, skipped, examples } = tally;
  const why = Object.entries(skipped)
    .filter(([, times]) => times > 0)
    .map(([reason, times]) => `${number(times)} ${words[reason as SkipReason]}`);
  const left = read - imported - refreshed;
  const users = imported > 0 ? `, ${withUser === 0 ? "none" : number(withUser)} with a user` : "";
  const again = refreshed > 0 ? `; ${dryRun ? "would refresh" : "refreshed"} ${number(refreshed)}` : "";
  return [
    `${dryRun ? "Would import" : "Imported"} ${number(imported)} of ${plural(read, "session")}${users}${again}${left > 0 ? `; left out ${number(left)}: ${why.join(", ")}` : ""}.`,
    ...examples.map(
      ({ handle, reason, detail }) =>
        `  ${handle} ${words[reason]}${detail === null ? "" : `: ${printable(detail)}`}`,
    ),
    ...whereTheRestIs(tally, file),
  ];
}

function whereTheRestIs({ skipped, examples }: Tally, file: string | null): string[] {
  const all = skipped.unreadable + skipped.notStorable;
  if (file !== null) return [`${plural(all, "session")} that could not be imported: see ${file}.`];
  const more = all - examples.length;
  if (examples.length === 0) return [];
  return [
    `  ${more > 0 ? `… and ${number(more)} more. ` : ""}--left-out <file> lists ${more > 0 ? "all" : "them"}, each with the SQL or command that finds it.`,
  ];
}

import { number, plural } from "../format.ts";
import { printable } from "../../shared/printable.ts";

/** Why a session was not taken over. */
export type SkipReason =
  /** it had ended */
  | "ended"
  /** its text is not a JSON object, or its id no text */
  | "unreadable"
  /** it holds what ours cannot hold, or is too large */
  | "unfit"
  /** an earlier run took it over, and it may have ended since */
  | "taken over before"
  /** a session of that id is there, though no run took it over */
  | "there already";

export interface Skipped {
  /** The handle that it would have: its id is a secret and is not told. */
  readonly handle: string;
  readonly reason: SkipReason;
  readonly detail: string | null;
}

/** What an import did. */
export interface Tally {
  read: number;
  imported: number;
  /** Of those imported: with a user, so that they are found by it. */
  withUser: number;
  skipped: Record<SkipReason, number>;
  /** The first of those that could not be read or stored. */
  examples: Skipped[];
  finished: boolean;
}

const mostExamples = 10;

export function newTally(): Tally {
  const skipped = { ended: 0, unreadable: 0, unfit: 0, "taken over before": 0, "there already": 0 };
  return { read: 0, imported: 0, withUser: 0, skipped, examples: [], finished: false };
}

export function note(tally: Tally, skipped: Skipped): void {
  tally.skipped[skipped.reason]++;
  if (skipped.reason !== "ended" && tally.examples.length < mostExamples) tally.examples.push(skipped);
}

export function lines(
  { read, imported, withUser, skipped, examples }: Tally,
  dryRun: boolean | undefined,
): string[] {
  const why = Object.entries(skipped)
    .filter(([, times]) => times > 0)
    .map(([reason, times]) => `${number(times)} ${reason}`);
  const left = read - imported;
  const users = imported > 0 ? `, ${withUser === 0 ? "none" : number(withUser)} with a user` : "";
  return [
    `${dryRun ? "Would import" : "Imported"} ${number(imported)} of ${plural(read, "session")}${users}${left > 0 ? `; left out ${number(left)}: ${why.join(", ")}` : ""}.`,
    ...examples.map(
      ({ handle, reason, detail }) =>
        `  ${handle} ${reason}${detail === null ? "" : `: ${printable(detail)}`}`,
    ),
  ];
}

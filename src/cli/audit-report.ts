import type { VerifyReport } from "../audit/report.ts";
import type { CommonOptions } from "./configuration.ts";
import { Failure } from "./failure.ts";
import { table } from "./format.ts";
import { moment, number, plural } from "../shared/wording.ts";
import type { Terminal } from "./terminal.ts";
import { report } from "./work.ts";

/** @throws {Failure} the trail was changed */
export function printReport(
  answer: VerifyReport,
  publicKeys: readonly string[],
  options: CommonOptions,
  terminal: Terminal,
): void {
  report(terminal, options, { ...answer, publicKeys }, () => [
    ...table(
      ["audit trail", ""],
      [
        ["events", number(answer.events)],
        ["  not yet in a checkpoint", number(answer.uncovered)],
        ["writers", number(answer.chains)],
        ["checkpoints", number(answer.checkpoints)],
        ["proven until", answer.provenUntil === null ? "nothing" : moment(answer.provenUntil)],
        ...(answer.anchoredUntil === null ? [] : [["anchored until", moment(answer.anchoredUntil)] as const]),
        ...publicKeys.map((key) => ["public key", key] as const),
      ],
    ),
    "",
    ...answer.problems.map(({ kind, message }) => `${kind}: ${message}`),
    ...(answer.truncated ? ["There are more problems than are listed."] : []),
    answer.ok ? "No event was changed." : `${plural(answer.problems.length, "problem")} found.`,
  ]);
  if (!answer.ok) {
    throw new Failure(
      "The audit trail was changed. Events after the first problem are not proven. See docs/incident-guide.md.",
    );
  }
}

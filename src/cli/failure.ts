import { CommanderError } from "commander";
import { KeyRingError, OptionsError, StoredSessionError, StoreError } from "../errors.ts";
import { printableLines } from "../shared/printable.ts";
import { reasonOf } from "../shared/reason.ts";

/** How the command ends. Part of the interface: scripts read it. */
export const exitCodes = {
  done: 0,
  /** The database, or the work itself, failed; `check` found a problem; nothing has that handle; a key is missing. */
  failed: 1,
  /** A wrong command, option or configuration: nothing was tried. */
  usage: 2,
  /** `migrate status` found something pending. */
  pending: 3,
  /** Stopped by Ctrl-C between two batches. */
  interrupted: 130,
} as const;

/** A failure that one sentence explains. */
export class Failure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = exitCodes.failed, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Somebody answered a question with no. */
export class Declined extends Failure {
  constructor() {
    super("Nothing was changed.");
  }
}

/** How many sessions the work had changed before it failed, if the error says so. */
export function changedBefore(error: unknown): number | undefined {
  return error instanceof StoreError ? error.changed : undefined;
}

/** Does the work. Reports what was done before a failure. */
export async function orReport<Answer>(
  work: () => Promise<Answer>,
  reportDone: (done: number) => void,
): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    const done = changedBefore(error) ?? 0;
    if (done > 0) reportDone(done);
    throw error;
  }
}

/**
 * What to print for an error, and how to end. Null to print: commander said it already. What a visitor or a database
 * may have put into a message moves no cursor (R50).
 */
export function explain(error: unknown): { readonly message: string | null; readonly exitCode: number } {
  const { message, exitCode } = explanation(error);
  return { message: message === null ? null : printableLines(message), exitCode };
}

function explanation(error: unknown): { readonly message: string | null; readonly exitCode: number } {
  if (error instanceof Failure) return { message: error.message, exitCode: error.exitCode };
  if (error instanceof CommanderError) {
    return { message: null, exitCode: error.exitCode === 0 ? exitCodes.done : exitCodes.usage };
  }
  if (error instanceof OptionsError) return { message: error.problems.join("\n"), exitCode: exitCodes.usage };
  if (error instanceof KeyRingError) return { message: error.message, exitCode: exitCodes.usage };
  if (error instanceof StoredSessionError) return { message: error.message, exitCode: exitCodes.failed };
  if (error instanceof TypeError || error instanceof RangeError) {
    return { message: error.message, exitCode: exitCodes.usage };
  }
  return { message: reasonOf(error), exitCode: exitCodes.failed };
}

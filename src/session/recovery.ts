import { RefusedError } from "../errors.ts";
import { oweCookie } from "./owed-cookie.ts";
import type { Records } from "./records.ts";
import type { SessionState } from "./state.ts";
import { UserRows } from "./user-rows.ts";

/** Finds out what became of writes and deletes whose answer was lost. */
export class Recovery {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  /**
   * Looks for the row of a lost insert or replace, and continues from it. What the application wants beyond that write is
   * still to be done. A lost update needs no lookup: the version of the row shows it when the row is read again.
   */
  async findLost(state: SessionState): Promise<boolean> {
    const { token } = state.lost;
    if (token === null) return false;
    const row = await this.#records.read(token.id);
    const write = row === null ? undefined : state.lost.find(row.version);
    if (row === null || write === undefined) return false;
    if (write.before !== null && write.epoch === state.working.epoch) state.working.restore(write.before);
    state.settle(write, { row, token }, write.written);
    oweCookie(this.#records, state);
    return true;
  }

  /**
   * After a lost delete whose row is gone: whether another request may have given the session a new id before, and sent
   * its cookie (R41). If this cannot be determined, the answer is yes: a leftover cookie that opens nothing is harmless.
   */
  async mayGoOn(state: SessionState): Promise<boolean> {
    const { format } = this.#records.settings;
    if (state.stored === null) return state.refused !== null;
    const { row, token } = state.stored;
    let user: string | undefined;
    try {
      ({ user } = format.decode(format.open(row, token)));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
    if (user === undefined) return true;
    const rows = await new UserRows(this.#records, user).list(1_000);
    return rows.some(({ createdAt }) => createdAt === row.createdAt || createdAt >= state.startedAt);
  }
}

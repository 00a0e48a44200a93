import type { Settings } from "../../session/settings.ts";
import type { Change, Company, Outcome } from "../../session/group-commit.ts";
import type { Found, Save as EngineSave, WriteEngine } from "../../session/write-engine.ts";
import { sameBytes } from "../../shared/bytes.ts";
import type { SessionRow } from "../../store/row.ts";
import type { Baseline } from "./baseline.ts";
import { changeOf, planSave, storedUser, userOfData, type Draft, type Plan, type Save } from "./merge.ts";
import type { DropInRows, Written } from "./rows.ts";

/** A row that a write made, and the bytes that it holds. */
export interface Done {
  readonly row: SessionRow;
  readonly plaintext: Uint8Array;
}

/** The row as it was last looked at, its bytes, and what is to take its place. */
interface Look {
  readonly row: SessionRow;
  readonly stored: Uint8Array;
  readonly plan: Plan;
}

/** The save of a session that a request loaded, and changed. */
export class ChangedSession implements EngineSave<Draft, Done> {
  /** The baseline of the next save; null until this one is done, and when the session had ended (promise 3). */
  saved: Baseline | null = null;
  /** Whether the request changed the user, so that the session begins anew. */
  readonly changesUser: boolean;
  readonly #settings: Settings;
  readonly #engine: WriteEngine<Draft, Done>;
  readonly #rows: DropInRows;
  readonly #save: Save;
  #look: Look | null = null;

  constructor(settings: Settings, engine: WriteEngine<Draft, Done>, rows: DropInRows, save: Save) {
    this.#settings = settings;
    this.#engine = engine;
    this.#rows = rows;
    this.#save = save;
    this.changesUser = settings.userOf !== undefined && storedUser(settings, save.base) !== save.mine.user;
  }

  async first(): Promise<boolean> {
    const { baseline, mine, plaintext, expiresAt } = this.#save;
    const { row, merged } = baseline;
    if (merged || this.changesUser || !this.#rows.isAlive(row)) return false;
    return this.#update(row, { content: mine, plaintext, end: expiresAt ?? row.expiresAt }, []);
  }

  async rebase(): Promise<Found> {
    this.#look = await this.#lookAgain();
    if (this.#look === null) return "gone";
    return this.#look.row.version === this.#save.baseline.row.version ? "unchanged" : "merged";
  }

  async #lookAgain(): Promise<Look | null> {
    const row = await this.#rows.read();
    const stored = row && this.#rows.open(row);
    if (row === null || stored === null) return null;
    const content = this.#settings.format.decode(stored);
    const plan = planSave(this.#settings, this.#save, {
      createdAt: row.createdAt,
      content,
      end: row.expiresAt,
    });
    return plan && { row, stored, plan };
  }

  async attempt(company: Company<Draft, Done>): Promise<Outcome> {
    const { row, stored, plan } = this.#look!;
    const done = plan.anew ? await this.#begin(row, this.#written(plan)) : await this.#write(company);
    if (!done) return "beaten";
    // Nothing was to be written where others made the same changes.
    if (this.saved === null) this.#settle({ row, plaintext: stored });
    return "done";
  }

  #write(company: Company<Draft, Done>): Promise<boolean> {
    const { row, stored, plan } = this.#look!;
    const { format } = this.#settings;
    const own = this.#written(plan);
    return this.#engine.writeWith<Written>(company, {
      row,
      own,
      user: plan.content.user,
      draft: () => ({ ...plan, content: format.decode(own.plaintext) }),
      check: (draft) => {
        const { data, user } = draft.content;
        return userOfData(this.#settings, data, this.#save.base) === user ? this.#written(draft) : null;
      },
      stored: ({ plaintext }) => (sameBytes(plaintext, stored) ? { row, plaintext } : null),
      write: (wanted, others) => this.#update(row, wanted, others),
    });
  }

  #written({ content, end }: Draft): Written {
    return { content, end, plaintext: this.#settings.format.encode(content, this.#look!.stored) };
  }

  async #begin(loaded: SessionRow, wanted: Written): Promise<boolean> {
    const row = await this.#rows.replace(loaded, this.#rows.anew(wanted), wanted.content.user);
    if (row !== null) this.#settle({ row, plaintext: wanted.plaintext });
    return row !== null;
  }

  async #update(
    loaded: SessionRow,
    wanted: Written,
    others: readonly Change<Draft, Done>[],
  ): Promise<boolean> {
    const row = await this.#rows.update(loaded, wanted);
    if (row === null) return false;
    const done = { row, plaintext: wanted.plaintext };
    this.#settle(done);
    for (const other of others) other.settle(done);
    return true;
  }

  /** A change of user begins the session anew, which is written by itself. */
  change(): Change<Draft, Done> | null {
    if (this.changesUser) return null;
    return {
      user: this.#save.mine.user,
      isOpen: () => true, // a request does nothing else to its session while it saves it
      apply: changeOf(this.#settings, this.#save),
      settle: (done) => this.#settle(done),
    };
  }

  #settle({ row, plaintext: written }: Done): void {
    const { baseline, plaintext } = this.#save;
    const merged = baseline.merged || !sameBytes(written, plaintext);
    this.saved = baseline.after({ row, plaintext, merged });
  }
}

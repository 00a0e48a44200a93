import { StoreError, TooManySessionsError } from "../../errors.ts";
import { isUnknown } from "../../session/lost-writes.ts";
import type { Settings } from "../../session/settings.ts";
import type { Change, Company, Outcome } from "../../session/group-commit.ts";
import type { Found, Save as EngineSave, WriteEngine } from "../../session/write-engine.ts";
import { sameBytes } from "../../shared/bytes.ts";
import type { SessionRow } from "../../store/row.ts";
import type { Baseline, LostSave } from "./baseline.ts";
import { changeOf, isLoaded, planSave, type Draft, type Plan } from "./merge.ts";
import type { DropInRows, Written } from "./rows.ts";
import { saveOf, storedUser, userOfData, type Save } from "./save.ts";

/** A written row and its plaintext. */
export interface Done {
  readonly row: SessionRow;
  readonly plaintext: Uint8Array;
}

/** The row as last read, its plaintext, and what replaces it. */
interface Look {
  readonly row: SessionRow;
  readonly stored: Uint8Array;
  readonly plan: Plan;
}

/** Saves a session that a request loaded and changed. */
export class ChangedSession implements EngineSave<Draft, Done> {
  /** The baseline of the next save. Null until this save is done, or if the session has ended (promise 3). */
  saved: Baseline | null = null;
  readonly #settings: Settings;
  readonly #engine: WriteEngine<Draft, Done>;
  readonly #rows: DropInRows;
  #save: Save;
  #look: Look | null = null;
  /** Whether the row belongs to the session that the request loaded and that its change of user ends. */
  #mayEnd = false;

  constructor(settings: Settings, engine: WriteEngine<Draft, Done>, rows: DropInRows, save: Save) {
    this.#settings = settings;
    this.#engine = engine;
    this.#rows = rows;
    this.#save = save;
  }

  /** Whether the request changed the user, so that the session starts over. */
  get changesUser(): boolean {
    const { base, mine } = this.#save;
    return this.#settings.userOf !== undefined && storedUser(this.#settings, base) !== mine.user;
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
    this.#findLost(row);
    const { createdAt, expiresAt: end } = row;
    const draft = { createdAt, content: this.#settings.format.decode(stored), end };
    this.#mayEnd = this.changesUser && isLoaded(this.#settings, this.#save, draft);
    const plan = await this.#orEnd(() => planSave(this.#settings, this.#save, draft));
    return plan && { row, stored, plan };
  }

  /** Continues from an earlier save of this request with an unknown outcome, if it was applied. */
  #findLost(row: SessionRow): void {
    const { baseline, mine } = this.#save;
    const lost = baseline.lost.find(row.version);
    if (lost !== undefined)
      this.#save = saveOf(this.#settings, mine.data, baseline.after({ row, ...lost }), this.#save);
  }

  /** If a hook throws during a change of user, the old session still ends (R43). */
  async #orEnd<Answer>(work: () => Answer | Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      const isRefused = error instanceof StoreError || error instanceof TooManySessionsError;
      if (this.#mayEnd && !isRefused) await this.#rows.delete();
      throw error;
    }
  }

  async attempt(company: Company<Draft, Done>): Promise<Outcome> {
    const { row, stored, plan } = this.#look!;
    const done = plan.anew
      ? await this.#orEnd(() => this.#begin(row, this.#written(plan)))
      : await this.#write(company);
    if (!done) return "beaten";
    // Nothing had to be written, because others made the same changes.
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
    const row = this.#rows.anew(wanted);
    const done = { row, plaintext: wanted.plaintext };
    const { lost } = this.#save.baseline;
    const replace = () => this.#rows.replace(loaded, row, wanted.content.user);
    if ((await lost.during(row.version, this.#known(done), replace)) === null) return false;
    this.#settle(done);
    return true;
  }

  async #update(
    loaded: SessionRow,
    wanted: Written,
    others: readonly Change<Draft, Done>[],
  ): Promise<boolean> {
    const row = this.#rows.next(loaded, wanted);
    const done = { row, plaintext: wanted.plaintext };
    const { lost } = this.#save.baseline;
    const update = () => this.#rows.update(loaded, row);
    try {
      if ((await lost.during(row.version, this.#known(done), update)) === null) return false;
    } catch (error) {
      if (isUnknown(error)) for (const other of others) other.lost(done);
      throw error;
    }
    this.#settle(done);
    for (const other of others) other.settle(done);
    return true;
  }

  /** A change of user starts the session over, which is not combined with other changes. */
  change(): Change<Draft, Done> | null {
    if (this.changesUser || !this.#save.baseline.lost.isEmpty) return null;
    return {
      user: this.#save.mine.user,
      isOpen: () => true, // a request does not use its session otherwise while it saves it
      apply: changeOf(this.#settings, this.#save),
      settle: (done) => this.#settle(done),
      lost: (done) => this.#save.baseline.lost.add(done.row.version, this.#known(done)),
    };
  }

  #settle(done: Done): void {
    const { baseline } = this.#save;
    this.saved = baseline.after({ row: done.row, ...this.#known(done) });
    baseline.lost.clear();
  }

  /** The state that the request knows to be stored after its save. */
  #known({ plaintext: written }: Done): LostSave {
    const { baseline, plaintext } = this.#save;
    return { plaintext, merged: baseline.merged || !sameBytes(written, plaintext) };
  }
}

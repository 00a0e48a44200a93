import type { Content } from "../../codec/codec.ts";
import { ConflictError, SessionEndedError } from "../../errors.ts";
import type { Outcome } from "../../session/group-commit.ts";
import { handleOf } from "../../session/handle.ts";
import type { Records } from "../../session/records.ts";
import type { Settings } from "../../session/settings.ts";
import type { Token } from "../../session/token.ts";
import { WriteEngine } from "../../session/write-engine.ts";
import type { SessionRow } from "../../store/row.ts";
import { Baseline } from "./baseline.ts";
import { ChangedSession, type Done } from "./changed-session.ts";
import type { Draft } from "./merge.ts";
import { DropInRows, type Written } from "./rows.ts";
import type { Save } from "./save.ts";
import { warnOfKeptId } from "./warnings.ts";

/**
 * Saves sessions whose ids a middleware manages, with the write engine of first-party sessions. The differences that a
 * middleware causes:
 *
 * - The id cannot change. A session whose user changes starts over under its id, by `replace`.
 * - An id that was never loaded may be saved: the last writer wins.
 * - The middleware's cookie determines the session's end, so the end is merged with the data.
 * - A save may happen before the response, and no commit waits for it: it sends no cookie.
 */
export class DropInSaves {
  readonly #settings: Settings;
  readonly #records: Records;
  readonly #engine: WriteEngine<Draft, Done>;
  #warned = false;

  constructor(settings: Settings, records: Records) {
    this.#settings = settings;
    this.#records = records;
    this.#engine = new WriteEngine(settings.storeTimeout);
  }

  /** Saves a session that the request did not load. */
  async begin(token: Token, content: Content, plaintext: Uint8Array, end: number): Promise<Baseline> {
    const rows = new DropInRows(this.#records, token);
    const wanted = { content, plaintext, end };
    const row = await rows.insert(rows.anew(wanted), wanted.content.user);
    if (row !== null) return Baseline.begun(token.text, row, plaintext);
    const saved: Baseline[] = [];
    const attempt = async (): Promise<Outcome> => {
      const baseline = await this.#overTaken(token, rows, wanted);
      if (baseline === null) return "beaten";
      saved.push(baseline);
      return "done";
    };
    await this.#engine.alone(token, { rebase: () => Promise.resolve("unchanged"), attempt });
    return saved[0]!;
  }

  /** The id exists, for a reason unknown to this process. As in every other store, the last writer wins. */
  async #overTaken(token: Token, rows: DropInRows, wanted: Written): Promise<Baseline | null> {
    const present = await rows.present();
    if (present === null) {
      const row = await rows.insert(rows.anew(wanted), wanted.content.user);
      return row && Baseline.begun(token.text, row, wanted.plaintext);
    }
    // Only applications with `app` share a table.
    if (this.#settings.format.formerUserRefs !== undefined && rows.open(present) === null)
      throw anothers(present);
    const { user } = wanted.content;
    const goesOn = rows.isAlive(present) && rows.isOf(present, user);
    const replaced = await (goesOn
      ? rows.update(present, rows.next(present, wanted))
      : rows.replace(present, rows.anew(wanted), user));
    return replaced && Baseline.loaded(token.text, replaced, wanted.plaintext);
  }

  /**
   * Saves a session that the request loaded and changed.
   * @returns the baseline of the next save. Null if the session has ended and nothing was saved (promise 3)
   * @throws {SessionEndedError} the session ended, and the request logged in a user
   */
  async change(token: Token, save: Save): Promise<Baseline | null> {
    const rows = new DropInRows(this.#records, token);
    const changed = new ChangedSession(this.#settings, this.#engine, rows, save);
    const isLogin = save.mine.user !== undefined && changed.changesUser;
    if (isLogin && !save.baseline.begun) this.#warnOnce();
    await this.#engine.save(save.baseline.row, changed);
    if (changed.saved === null && isLogin) {
      throw new SessionEndedError(
        "The session ended while this request logged in a user, so the login was not saved. Log in again. Regenerate the session id at every login (express-session and @fastify/session: req.session.regenerate()).",
      );
    }
    return changed.saved;
  }

  #warnOnce(): void {
    if (!this.#warned) warnOfKeptId();
    this.#warned = true;
  }
}

function anothers({ id }: SessionRow): ConflictError {
  return new ConflictError(
    `Session ${handleOf(id)} cannot be decrypted and may belong to another application with the same session id. Nothing was saved. Use a different cookie name for each application that shares the table.`,
  );
}

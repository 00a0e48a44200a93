import type { Content } from "../codec/codec.ts";
import { afterChanges } from "../store/partial-failure.ts";
import { SessionEndedError } from "../errors.ts";
import type { Settings } from "./settings.ts";
import type { Committer } from "./commit.ts";
import type { Outcome } from "./group-commit.ts";
import { plainAnswer } from "./hooks.ts";
import { changeOfUser, ownChanges, userAfter, userOfStored } from "./identity.ts";
import { assertLogin, assertSameUser, remedyOfSwitch } from "./login-rules.ts";
import { sameBytes } from "../shared/bytes.ts";
import { conformForSaving } from "./schema.ts";
import type { SessionState } from "./state.ts";
import type { SessionChange, Waiting, Writes } from "./writes.ts";

/** The function given to `sessions.update`: modifies the draft, or returns a replacement. */
export type Change = (data: Record<string, unknown>) => void | Record<string, unknown>;

/**
 * `sessions.update`: an atomic read-modify-write that is saved at once, independent of the request's other changes. What
 * the application requests while an update is in flight comes after it, and is left to the next commit.
 */
export class Updater {
  readonly #settings: Settings;
  readonly #writes: Writes;
  readonly #committer: Committer;

  constructor(settings: Settings, writes: Writes, committer: Committer) {
    this.#settings = settings;
    this.#writes = writes;
    this.#committer = committer;
  }

  async update(state: SessionState, change: Change): Promise<void> {
    const { changes } = state;
    try {
      await this.#update(state, change);
    } catch (error) {
      throw afterChanges(error, state.changes - changes, "changed");
    }
  }

  async #update(state: SessionState, change: Change): Promise<void> {
    refuseEnded(state);
    const cut = state.pending.cut();
    void state.content; // opens the row: if it is refused, this is a new session
    if (!state.lost.isEmpty) await this.#writes.recovery.findLost(state);
    // A pending new id comes first, so that the update applies to the session that continues.
    if (state.stored !== null && (state.pending.isDue(cut) || changesUser(state))) {
      await this.#committer.settle(state);
    }
    if (state.ended) throw hasEnded();
    if (state.stored === null) return this.#updateNew(state, change);
    const isOver = this.#writes.isPastLimit(state) && !(await this.#writes.isAlive(state));
    if (isOver || (await this.#updateStored(state, change)) === "gone") {
      state.end(cut);
      throw hasEnded();
    }
  }

  async #updateNew(state: SessionState, change: Change): Promise<void> {
    refuseEnded(state);
    const { format } = this.#settings;
    const loaded = format.encode(state.content, null);
    const write = state.write(state.nextToken.value, loaded);
    const isLogin = write.intent === "login" && !state.pending.isDerived;
    const found = await this.#draft(loaded, change, true);
    const { user } = isLogin ? format.decode(loaded) : found;
    if (isLogin) assertLogin(this.#settings, user, found.user, state.restarted);
    const draft = { ...found, user };
    const plaintext = format.encode(draft, null);
    if (state.isUnused(draft)) return state.adoptDraft(write, plaintext);
    const inserted = await this.#writes.insert(state, { plaintext, user: draft.user }, write);
    if (!inserted) await this.#update(state, change);
  }

  async #updateStored(state: SessionState, change: Change): Promise<Outcome> {
    const first = () => this.#tryOnce(state, change, null);
    const attempt = async (company: Waiting): Promise<Outcome> =>
      (await this.#tryOnce(state, change, company)) ? "done" : "beaten";
    const rebase = () => this.#writes.rebase(state);
    const waiting = () => this.#changeOf(state, change);
    return this.#writes.engine.save(state.stored!.row, { first, rebase, attempt, change: waiting });
  }

  /** The change, for another save to include. */
  #changeOf(state: SessionState, change: Change): SessionChange | null {
    if (!state.lost.isEmpty) return null;
    const { format } = this.#settings;
    const apply = (content: Content): Content =>
      // A copy, so that a change that throws leaves the draft unmodified.
      changed(format.decode(format.encode(content, state.plaintext)), change);
    return this.#writes.changeOf(state, state.write(null, state.plaintext), apply);
  }

  async #tryOnce(state: SessionState, change: Change, company: Waiting | null): Promise<boolean> {
    const { format } = this.#settings;
    const loaded = state.plaintext!;
    // What is requested while the draft is made comes after it.
    const write = state.write(null, loaded);
    const draft = await this.#draft(loaded, change);
    if (state.userOf !== undefined) {
      const base = format.decode(loaded);
      const userChange = changeOfUser(userOfStored(state.userOf, base), draft.user);
      if (userChange !== "none") {
        const own = userChange === "login" ? draft : this.#ownOf(state, base, draft);
        const plaintext = format.encode(own, null);
        const wanted = { plaintext, user: own.user, isWhole: userChange !== "login" };
        const intent = userChange === "sign-out" ? "reset" : "login";
        const before = userChange === "login" ? null : workingBytes(state);
        const rotation = { ...write, token: state.nextToken.value, intent, before } as const;
        return this.#writes.replace(state, wanted, rotation);
      }
    }
    const plaintext = format.encode(draft, loaded);
    if (company === null && sameBytes(plaintext, loaded)) return true;
    const wanted = { plaintext, user: draft.user };
    if (company === null) return this.#writes.update(state, wanted, write);
    return this.#writes.updateWith(company, state, wanted, write);
  }

  /** Another user's session starts with what the change set, not with what it received. */
  #ownOf(state: SessionState, base: Content, draft: Content): Content {
    const changes = ownChanges(this.#settings.format, base, draft);
    const own = { ...state.working.withDefaults(changes), user: draft.user };
    assertSameUser(state.userOf!, own, remedyOfSwitch);
    return own;
  }

  /** A copy of the content with the application's change, as it would be saved. */
  async #draft(plaintext: Uint8Array, change: Change, isNew = false): Promise<Content> {
    const { format, schema, userOf } = this.#settings;
    const draft = changed(format.decode(plaintext), change);
    const conforming = schema === undefined ? draft : await conformForSaving(this.#settings, draft);
    const find = userOf ?? format.userOf;
    if (find === undefined) return conforming;
    return { ...conforming, user: userAfter(find, conforming.data, isNew ? null : format.decode(plaintext)) };
  }
}

/** The working copy; what was read or written last if it holds a value that cannot be stored. */
function workingBytes({ settings, content, plaintext }: SessionState): Uint8Array {
  try {
    return settings.format.encode(content, plaintext);
  } catch {
    return plaintext!;
  }
}

/** The draft after the application's change. */
function changed(draft: Content, change: Change): Content {
  const answer: unknown = plainAnswer("sessions.update", change(draft.data));
  if (answer === undefined) return draft;
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) {
    throw new TypeError(
      "sessions.update takes a function that changes its argument, or returns an object that replaces it.",
    );
  }
  return { ...draft, data: answer as Record<string, unknown> };
}

/** Whether the request changed the user in the data, so that its next commit is a login. */
function changesUser(state: SessionState): boolean {
  if (state.userOf === undefined || state.plaintext === null) return false;
  if (state.intent !== "save") return true;
  try {
    return state.userAfter(state.content.data) !== state.storedUser;
  } catch {
    return false; // the commit calls the hook again, and reports the failure
  }
}

function refuseEnded(state: SessionState): void {
  if (state.ended || state.intent === "destroy") throw hasEnded();
}

function hasEnded(): SessionEndedError {
  return new SessionEndedError(
    "The session has ended: another request destroyed it, revoked it or gave it a new id, or it expired. The update is not stored.",
  );
}

import type { Content } from "../codec/codec.ts";
import { RefusedError } from "../errors.ts";
import { ClientChanges } from "./client-change.ts";
import { publishDevice, type DevicePolicy, type EndedLogin } from "./device-policy.ts";
import type { ClientSource } from "./format.ts";
import { handleOf } from "./handle.ts";
import type { Records } from "./records.ts";
import { RejectedCookies } from "./rejected-cookies.ts";
import { conformStored } from "./schema.ts";
import { sessionOver, type Session } from "./session.ts";
import type { Settings } from "./settings.ts";
import { publishReason, publishRefusal } from "./refusal.ts";
import { SessionState } from "./state.ts";
import type { Stored } from "./stored-state.ts";
import type { Token } from "./token.ts";

const none: readonly Token[] = [];

/** Loads the session of a request: from the Cookie header to a row, and to a session over it. */
export class Loader {
  readonly #records: Records;
  readonly #settings: Settings;
  readonly #rejected: RejectedCookies;
  readonly #changes: ClientChanges | null;

  constructor(records: Records) {
    this.#records = records;
    this.#settings = records.settings;
    this.#changes = this.#settings.onClientChange === undefined ? null : new ClientChanges(records);
    this.#rejected = new RejectedCookies(records.settings.clock, records.settings.audit?.refusals);
  }

  /** @param again how often to load once more because another request changed the login that was to be ended */
  async load<Data>(
    cookieHeader: string | null | undefined,
    client: ClientSource | undefined,
    again: number = 10,
  ): Promise<Session<Data>> {
    if (typeof cookieHeader !== "string" && cookieHeader !== undefined && cookieHeader !== null) {
      throw new TypeError(
        `sessions.load takes the text of the request's Cookie header, such as request.headers.cookie. It was given ${Array.isArray(cookieHeader) ? "an array" : `a value of type ${typeof cookieHeader}`}.`,
      );
    }
    const tokens = cookieHeader ? this.#tokensIn(cookieHeader) : none;
    let stored: Stored | null = null;
    if (tokens.length === 1) {
      const token = tokens[0]!;
      const row = await this.#records.read(token.id);
      if (row !== null) stored = { row, token };
    } else if (tokens.length > 1) {
      stored = await this.#firstOf(tokens);
    }
    const { defaults } = this.#settings;
    const begins = defaults && (await (stored === null ? defaults.evaluate() : defaults.ahead()));
    const state = new SessionState(this.#settings, stored, client, this.#records.now(), begins);
    const { device, schema } = this.#settings;
    if (device !== null && cookieHeader) {
      const unbound = await this.#checkDevice(state, device, cookieHeader);
      if (unbound === "changed" && again > 0) return this.load(cookieHeader, client, again - 1);
      if (unbound !== null && unbound !== "changed") {
        const session = sessionOver<Data>(state);
        await device.ended(unbound, session);
        return session;
      }
    }
    if (state.stored !== null && schema !== undefined) await this.#conform(state);
    if (this.#changes !== null && state.stored !== null && client !== undefined)
      await this.#changes.check(state);
    return sessionOver<Data>(state);
  }

  /**
   * Serves a session that is bound to a device only to requests that prove the device. Others continue with an anonymous
   * session, and the row stays as it is.
   * @returns the login that was ended because it had to be bound; null if none was; "changed" if it was to be ended, but
   *   another request changed it meanwhile, and may have bound it
   */
  async #checkDevice(
    state: SessionState,
    device: DevicePolicy,
    cookieHeader: string,
  ): Promise<EndedLogin | "changed" | null> {
    const { stored } = state;
    state.device.clear = device.clear(cookieHeader);
    if (stored === null || stored.row.userRef === null) return null; // nobody is logged in
    let content: Content;
    try {
      content = state.content;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      state.refuse(error);
      return null;
    }
    if (state.stored === null) return null;
    const { row } = stored;
    const reason = device.refusal(content, row, cookieHeader);
    if (reason === null) return null;
    const isRequired = reason === "device_required";
    const isEnded = isRequired && (await this.#records.deleteUnchanged(stored, { reason }));
    state.abandon(null);
    state.device.isUnproved = !isRequired;
    state.device.headers = state.device.clear;
    if (isRequired && !isEnded) return "changed";
    publishReason(row.id, reason, this.#settings);
    if (!isEnded) return null;
    publishDevice("ended", row.id);
    return { user: content.user!, handle: handleOf(row.id), loggedInAt: new Date(row.createdAt) };
  }

  #tokensIn(cookieHeader: string): readonly Token[] {
    const tokens: Token[] = [];
    for (const value of this.#settings.cookie.read(cookieHeader)) {
      const { format } = this.#settings;
      const token = format.read(value);
      if (token !== null) this.#rejected.accept();
      else if (value !== "") this.#rejected.reject(format.rejection?.(value) ?? "malformed");
      if (token !== null && !tokens.some((other) => other.text === token.text)) tokens.push(token);
    }
    return tokens;
  }

  /** The first token that has a row, in the order of the Cookie header. */
  async #firstOf(tokens: readonly Token[]): Promise<Stored | null> {
    const rows = await Promise.all(tokens.map((token) => this.#records.read(token.id)));
    const first = rows.findIndex((row) => row !== null);
    return first === -1 ? null : { row: rows[first]!, token: tokens[first]! };
  }

  async #conform(state: SessionState): Promise<void> {
    const { onUnreadable } = this.#settings;
    const { row } = state.stored!;
    let stored: Content;
    try {
      stored = state.content; // opens the row; if it is refused, the state becomes that of a new session
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return state.refuse(error);
    }
    if (state.stored === null) return;
    try {
      // Changes are detected against the conformed data, so that a schema default or an upgrade alone never causes a write.
      state.show(await conformStored(this.#settings, state.plaintext!, stored));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      publishRefusal(row, error, this.#settings);
      if (onUnreadable === "throw") state.refuse(error);
      else state.abandon(error);
    }
  }
}

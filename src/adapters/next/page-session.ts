import type { DataOf, SessionData } from "../../session/data.ts";
import type { Session } from "../../session/session.ts";

/** The session as a server component sees it. Changes to `data` are not saved. */
export interface PageSession<Data = SessionData> {
  readonly data: Readonly<DataOf<Data>>;
  readonly user: string | undefined;
  readonly isNew: boolean;
  /** See `Session.handle`. */
  readonly handle: string;
  /** See `Session.level`. */
  readonly level: string | undefined;
  /** See `Session.deviceBound`. */
  readonly deviceBound: boolean;
  /** See `Session.isFresh`. */
  isFresh(...args: Parameters<Session["isFresh"]>): boolean;
  /**
   * Returns a flash message and removes it, which is saved before the promise resolves. Undefined if there is none.
   * @throws {StoreError} the store is unavailable
   */
  takeFlash(name: string): Promise<unknown>;
}

export function pageOf<Data>(
  session: Session<Data>,
  takeFlash: PageSession<Data>["takeFlash"],
): PageSession<Data> {
  const { data, user, isNew, handle, level, deviceBound } = session;
  const isFresh: Session["isFresh"] = (...args) => session.isFresh(...args);
  return { data, user, isNew, handle, level, deviceBound, isFresh, takeFlash };
}

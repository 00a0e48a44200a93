import { RefusedError } from "../errors.ts";
import { opensAlone } from "../session/format.ts";
import { handleOf } from "../session/handle.ts";
import type { Records } from "../session/records.ts";
import type { RowInfo } from "../store/row.ts";

/** The most bytes of sessions to open for one page. */
const MOST = 4 * 1024 * 1024;

/**
 * The level of each session's login, by handle. It is sealed with the session, so the sessions are read, with one statement, and
 * opened. Missing: those that only their cookie opens, and those that follow the first 4 MiB.
 */
export async function levelsOf(
  { settings }: Records,
  infos: readonly RowInfo[],
): Promise<ReadonlyMap<string, string>> {
  const levels = new Map<string, string>();
  let total = 0;
  const chosen = infos.filter(
    ({ bytes, head }) => opensAlone(settings.format, { data: head }) && (total += bytes) <= MOST,
  );
  if (chosen.length === 0) return levels;
  for (const row of await settings.store.read(chosen.map(({ id }) => id))) {
    if (row === null) continue;
    try {
      const { authentication } = settings.format.decode(settings.format.open(row, null));
      if (authentication?.level !== undefined) levels.set(handleOf(row.id), authentication.level);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
  }
  return levels;
}

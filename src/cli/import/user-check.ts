import { importRailsSessions } from "../../rails/index.ts";
import { exitCodes, Failure } from "../failure.ts";
import { number } from "../../shared/wording.ts";
import type { SourceReader } from "./reader.ts";
import { userOfText } from "./write.ts";

type RailsArguments = Parameters<typeof importRailsSessions>;

/**
 * A later run takes over nothing again, so a path that finds no user has to be noticed before the first row is written.
 * Reads up to the first session with a user; the whole table only where none has one.
 * @throws {Failure} sessions would be imported, and none of them with a user
 */
export async function assertPathFinds(
  path: readonly string[],
  reader: SourceReader,
  batchSize: number,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  let without = 0;
  for await (const page of reader.pages(batchSize)) {
    if (signal.aborted) return;
    for (const { text, expiresAt, unreadable, user } of page) {
      if (unreadable !== undefined || !(expiresAt > now)) continue;
      if (user !== undefined || userOfText(text, path) !== undefined) return;
      without++;
    }
  }
  if (without > 0) throw nobodyFound(`--user-path ${path.join(".")}`, without);
}

/** The same of the gem's table. @throws {Failure} */
export async function assertKeyFinds(
  key: string,
  from: RailsArguments[0],
  sessions: RailsArguments[1],
  batchSize: number,
): Promise<void> {
  const found = new AbortController();
  const { imported, withUser } = await importRailsSessions(from, sessions, {
    batchSize,
    dryRun: true,
    signal: found.signal,
    onProgress: ({ counts }) => {
      if (counts.withUser > 0) found.abort();
    },
  });
  if (imported > 0 && withUser === 0) throw nobodyFound(`--user-key ${key}`, imported);
}

function nobodyFound(option: string, sessions: number): Failure {
  return new Failure(
    `${option} finds no user in any of the ${number(sessions)} sessions. list, revoke, export and erase by user would not find these sessions, and only an import with --refresh could add the users later. Correct the path, or add --yes if no session has a user. Nothing was changed.`,
    exitCodes.usage,
  );
}

import { StoreError, StoreTimeoutError, StoreUnavailableError } from "../errors.ts";
import type { Run, ShardAnswer, ShardStatement } from "./dialect.ts";

/** The part of a statement's time that each shard has: the others' answers are to reach the caller in time. */
const SHARE = 0.7;

/**
 * Deletes on every shard by itself, so that those that are reached have deleted when others are not.
 * @param timeout milliseconds that the caller waits; 0 for no limit
 * @throws {StoreUnavailableError} that names the shards that did not answer, with what the others deleted in `changed`
 */
export async function deleteOnShards(
  run: Run,
  shards: readonly ShardStatement[],
  timeout: number,
): Promise<number> {
  const failures: { readonly shard: string; readonly error: unknown }[] = [];
  const answers = await Promise.all(
    shards.map(async ({ shard, statement, read }): Promise<readonly ShardAnswer[]> => {
      try {
        if (statement === null) throw new StoreUnavailableError("It is not attached.", { outcome: "none" });
        const { rows, changes } = await within(timeout * SHARE, run(statement));
        return read?.(rows) ?? [{ shard, changes, problem: null }];
      } catch (error) {
        failures.push({ shard, error });
        return [];
      }
    }),
  );
  const all = answers.flat();
  const changed = all.reduce((sum, { changes }) => sum + changes, 0);
  for (const { shard, problem } of all)
    if (problem !== null) failures.push({ shard, error: new Error(problem) });
  if (failures.length === 0) return changed;
  const unreachable = failures.map(({ shard }) => shard).toSorted();
  const cause = failures[0]!.error;
  const isKnown = failures.every(({ error }) => error instanceof StoreError && error.outcome === "none");
  const message = cause instanceof Error ? cause.message : String(cause);
  throw new StoreUnavailableError(
    `The user's sessions on ${unreachable.length === 1 ? "one shard" : `${unreachable.length} shards`} (${unreachable.join(", ")}) could not be deleted: ${message} Those on the other shards are deleted. Call again once it is reachable.`,
    {
      cause,
      outcome: changed > 0 || !isKnown ? "unknown" : "none",
      unreachable,
      ...(changed > 0 && { changed }),
    },
  );
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  if (milliseconds === 0) return await work;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = `It did not answer within ${Math.round(milliseconds)} ms.`;
    reject(new StoreTimeoutError(message, { outcome: "unknown" }));
  }, milliseconds);
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

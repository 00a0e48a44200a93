import type { Settings } from "./settings.ts";
import type { Token } from "./token.ts";

/** Each draw takes about four microseconds; among 1,000 shards one of 10,000 misses once in 22,000 logins. */
const MOST_DRAWS = 10_000;

/**
 * A token whose row is on the shard of the row that it replaces, so that the database replaces it on one shard. An id is
 * the hash of the token, so tokens are drawn until one fits; an attacker learns the shard, which is not secret, and of
 * 256 random bits less than 10 are given away among 1,000 shards.
 * @param id of the row that is replaced; null for a new session
 */
export function mintBeside(
  { format, store }: Pick<Settings, "format" | "store">,
  id: Uint8Array | null,
): Token {
  let token = format.mint();
  const shard = id === null ? null : (store.shardOf?.(id) ?? null);
  if (shard === null) return token;
  for (let draws = 1; draws < MOST_DRAWS && store.shardOf!(token.id) !== shard; draws++)
    token = format.mint();
  return token;
}

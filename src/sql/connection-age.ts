/**
 * Tracks the age of connections. After a failover, connections to the old primary stay open and reject writes, while a
 * new connection reaches the new primary. On a server that is permanently read-only, new connections do not help.
 * Therefore only connections of a minimum age are replaced, at most one per second.
 */
const LONG = 1_000;

const since = new WeakMap<object, number>();

/** Records when a connection was first used. */
export function seen(connection: object): void {
  if (!since.has(connection)) since.set(connection, performance.now());
}

/** Whether a new connection might reach another server than this one. */
export function isEstablished(connection: object): boolean {
  return performance.now() - (since.get(connection) ?? Infinity) >= LONG;
}

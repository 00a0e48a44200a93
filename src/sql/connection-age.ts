/**
 * How long connections have been there. After a failover those to the old primary stay open and take no writes; a new
 * one leads to the new primary. On a server that never takes writes a new one helps nothing, so only connections
 * that have been there for a while are given up, and at most one a second takes the place of each.
 */
const LONG = 1_000;

const since = new WeakMap<object, number>();

/** Notes when a connection was first handed out. */
export function seen(connection: object): void {
  if (!since.has(connection)) since.set(connection, performance.now());
}

/** Whether a new connection may lead to another server than this one does. */
export function isEstablished(connection: object): boolean {
  return performance.now() - (since.get(connection) ?? Infinity) >= LONG;
}

/** Handles of ORMs and query builders: the pool behind them, or what to pass in their place. */
import { OptionsError } from "../errors.ts";

export type Behind =
  /** What it was made from. */
  | { readonly handle: unknown }
  /** The same, where only a connected library knows it. */
  | { readonly later: () => Promise<unknown> }
  /** Why there is none that can be shared, and what to pass. */
  | { readonly problem: string };

/**
 * What is behind a handle of another library; null for anything else. Each is recognised by several of its members.
 * @param pass what the store takes, for messages: `a pool of pg (new pg.Pool(…))`
 */
export function behind(given: unknown, store: string, pass: string): Behind | null {
  const has = (...methods: readonly string[]): boolean =>
    methods.every((name) => typeof member(given, name) === "function");
  const refused = (what: string, instead: string): Behind => ({
    problem: `${store} was given ${what}. Pass ${instead}.`,
  });
  if (has("select", "insert") && isObject(member(given, "$client")))
    return { handle: member(given, "$client") };
  if (isObject(member(given, "$pool")) && has("tx", "oneOrNone")) return { handle: member(given, "$pool") };
  if (has("createQueryRunner", "initialize") && isObject(member(given, "driver")))
    return { later: async () => ofTypeorm(member(given, "driver"), store) };
  if (has("getConnection", "getDriver", "getRepository")) return { later: () => ofMikroorm(given, store) };
  const em = member(given, "em");
  if (isObject(em) && has("checkConnection")) return { later: () => ofMikroorm(em, store) };
  if (has("raw", "transaction") && isObject(member(given, "client")))
    return refused(
      "a Knex instance, whose pool holds bare connections",
      `${pass} made with the same settings (knex.client.connectionSettings)`,
    );
  if (has("selectFrom", "getExecutor"))
    return refused(
      "a Kysely instance, which keeps its pool to itself",
      `the pool that its dialect was made with: ${pass}`,
    );
  if (isObject(member(given, "connectionManager")) && has("define", "authenticate"))
    return refused(
      "a Sequelize instance, whose pool holds bare connections",
      `${pass} made with the same settings (sequelize.config)`,
    );
  if (has("$connect", "$transaction"))
    return refused(
      "a Prisma client, which gives no access to its connections",
      `the pool that its driver adapter was made with: ${pass}`,
    );
  if (typeof member(given, "adapterName") === "string" && has("connect"))
    return refused("a driver adapter of Prisma", `what it was made with: ${pass}, given to both`);
  return null;
}

/** A member of anything. Reading one of an ORM's proxies may throw. */
export function member(of: unknown, name: string): unknown {
  if (!isObject(of)) return undefined;
  try {
    return (of as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** Whether these members are all functions. */
export function hasMethods(given: unknown, ...names: readonly string[]): boolean {
  return names.every((name) => typeof member(given, name) === "function");
}

function isObject(value: unknown): boolean {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function ofTypeorm(driver: unknown, store: string): unknown {
  const found = member(driver, "master") ?? member(driver, "pool") ?? member(driver, "databaseConnection");
  if (found !== undefined) return found;
  throw new OptionsError([
    `${store} was given a DataSource of TypeORM that is not initialized, or that is replicated. Await dataSource.initialize() before the first request; with replication, pass a pool of the primary.`,
  ]);
}

async function ofMikroorm(em: unknown, store: string): Promise<unknown> {
  const connection: unknown = (em as { getConnection(type: "write"): unknown }).getConnection("write");
  const { getNativeClient } = connection as { getNativeClient?: () => unknown };
  // Before version 7 it was Knex's.
  const found = typeof getNativeClient === "function" ? await getNativeClient.call(connection) : undefined;
  if (isObject(found)) return found;
  throw new OptionsError([
    `${store} was given MikroORM, and its connection shows no pool. Use MikroORM 7 or later, or pass a pool.`,
  ]);
}

import type { Database } from "./dialect.ts";
import type { Ask, Inspection } from "./inspection.ts";

export type { Inspection } from "./inspection.ts";

/** Queries version, clock and settings. Changes nothing. */
export async function inspectDatabase(database: Database): Promise<Inspection> {
  await database.locate?.();
  const ownersSettings = (await database.ownersSettings?.()) ?? [];
  const ask: Ask = async (asked) => {
    const statement = typeof asked === "string" ? { text: asked, values: [], writes: false } : asked;
    return (await database.run(statement)).rows[0] ?? {};
  };
  return { ...(await database.dialect.inspect(ask)), ownersSettings };
}

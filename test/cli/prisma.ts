/**
 * The SQL of a Prisma migration. `prisma migrate` itself downloads a program when it is installed; this is the same
 * schema engine as WebAssembly, which writes the SQL of SQLite and PostgreSQL, and not that of MySQL.
 */
import { SchemaEngine } from "@prisma/schema-engine-wasm";

const ok = (value: unknown) => ({ ok: true, value });

/** The engine wants a connection before anything else. From one schema to another it asks it nothing. */
async function connect(): Promise<unknown> {
  const ask = async (): Promise<never> => {
    throw new Error("Prisma's schema engine asked the database, which is not there.");
  };
  return ok({
    provider: "sqlite",
    adapterName: "none",
    queryRaw: ask,
    executeRaw: ask,
    executeScript: ask,
    startTransaction: ask,
    getConnectionInfo: () => ok({ supportsRelationJoins: false }),
    dispose: async () => ok(undefined),
  });
}

/** What `prisma migrate diff --from-empty --script` prints for a schema with these models and preview features. */
export async function prismaMigration(
  models: string,
  provider: "sqlite" | "postgresql",
  previewFeatures: string[] = [],
): Promise<string> {
  const content = [
    `datasource db {\n  provider = "${provider}"\n}`,
    `generator client {\n  provider = "prisma-client"\n  previewFeatures = ${JSON.stringify(previewFeatures)}\n}`,
    models,
  ].join("\n\n");
  const adapter = { provider: "sqlite", adapterName: "none", connect, connectToShadowDb: connect };
  const engine = await SchemaEngine.new({ datamodels: undefined }, () => {}, adapter);
  try {
    const { stdout } = await engine.diff({
      from: { tag: "empty" },
      to: { tag: "schemaDatamodel", files: [{ path: "schema.prisma", content }] },
      script: true,
      exitCode: null,
      filters: { externalTables: [], externalEnums: [] },
    });
    return stdout!;
  } finally {
    engine.free();
  }
}

/** What README says the package was tested with, and the suite that shows it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bun, deno, newestNode, oldestNode } from "../runtimes/runtimes.ts";
import { older } from "../versions/older.ts";
import { versionOf } from "../versions/tree.ts";

export interface Row {
  readonly group: "Frameworks" | "Beside" | "Runtimes" | "Drivers" | "ORMs" | "Other";
  readonly name: string;
  readonly version: string;
  readonly file: string;
  /** Parts of the full names of its tests; absent if all tests of the file are about it. */
  readonly within?: readonly string[];
  /** It runs in `npm run test:versions`, under this name. */
  readonly older?: string;
}

const lock = JSON.parse(readFileSync(join(import.meta.dirname, "../../package-lock.json"), "utf8")) as {
  packages: Readonly<Record<string, { version?: string }>>;
};

/** What `npm ci` installs. */
export function installed(name: string): string {
  const own = new RegExp(`^examples/\\w+/node_modules/${name}$`); // npm put it beside its example
  const nested = Object.keys(lock.packages).find((path) => own.test(path));
  const { version } = lock.packages[`node_modules/${name}`] ?? lock.packages[nested ?? ""] ?? {};
  if (version === undefined) throw new Error(`package-lock.json has no ${name}`);
  return version;
}

const of =
  (group: Row["group"]) =>
  (name: string, library: string, file: string, ...within: string[]): Row => ({
    group,
    name,
    version: installed(library),
    file,
    within,
  });

const framework = (name: string, library: string, file: string): Row =>
  of("Frameworks")(name, library, `test/adapters/${file}.test.ts`);
const beside = (name: string, library: string, file: string): Row =>
  of("Beside")(name, library, `test/adapters/${file}.test.ts`);
const driver = of("Drivers");
const elsewhere = of("Other");
const other = "test/drivers/contract.test.ts";
const orm = (name: string, library: string): Row =>
  of("ORMs")(name, library, "test/drivers/handles.test.ts", "→ works", name);
const runtime = (name: string, version: string): Row => ({
  group: "Runtimes",
  name,
  version,
  file: "test/runtimes/walk.test.ts",
  within: [`${name} ${version}`],
});

/** Each row after those of the older versions that run in `npm run test:versions`, oldest first. */
const after = (row: Row, ...targets: readonly string[]): Row[] => [
  ...targets.map((target) => {
    const { packages, suites } = older[target]!;
    return { ...row, version: versionOf(packages), file: suites[0]!, older: target };
  }),
  row,
];

export const rows: readonly Row[] = [
  after(framework("Express", "express", "express"), "express@4.21"),
  after(framework("Fastify", "fastify", "fastify"), "fastify@5.0"),
  after(framework("Koa", "koa", "koa"), "koa@2.15"),
  after(framework("Hono", "hono", "hono"), "hono@4.5"),
  after(framework("Elysia", "elysia", "elysia"), "elysia@1.4.4"),
  after(framework("hapi", "@hapi/hapi", "hapi"), "@hapi/hapi@21.0"),
  framework("NestJS", "@nestjs/core", "nest"),
  framework("Next.js", "next", "next-example"),
  after(framework("h3", "h3", "h3"), "h3@1.15"),
  after(framework("Nuxt", "nuxt", "nuxt-example"), "nuxt@3"),
  after(framework("Astro", "astro", "astro-example"), "astro@5", "astro@6"),
  after(framework("SvelteKit", "@sveltejs/kit", "sveltekit-example"), "@sveltejs/kit@2"),
  framework("TanStack Start", "@tanstack/react-start", "tanstack-start-example"),
  after(framework("React Router", "react-router", "react-router"), "react-router@7.0", "react-router@7.9"),
  after(beside("express-session", "express-session", "express-session"), "express-session@1.17"),
  beside("@fastify/session", "@fastify/session", "fastify-session"),
  after(beside("koa-session", "koa-session", "koa-session"), "koa-session@7.0"),
  after(beside("better-auth", "better-auth", "better-auth"), "better-auth@1.7"),
  beside("Auth.js", "@auth/core", "authjs"),
  beside("AdonisJS", "@adonisjs/core", "adonisjs-example"),
  runtime("Node", oldestNode.version),
  // The one that runs everything else, too.
  {
    group: "Runtimes" as const,
    name: "Node",
    version: installed("node"),
    file: "test/store/contract.test.ts",
  },
  runtime("Node", newestNode.version),
  runtime("Bun", bun.version),
  runtime("Deno", deno.version),
  { ...driver("workerd", "workerd", "test/drivers/workerd.test.ts"), group: "Runtimes" as const },
  after(driver("pg", "pg", "test/store/servers-contract.test.ts", "postgres"), "pg@8.11"),
  driver("postgres.js", "postgres", other, "postgres.js"),
  driver("PGlite", "@electric-sql/pglite", other, "PGlite"),
  driver("@neondatabase/serverless", "@neondatabase/serverless", other, "@neondatabase/serverless"),
  after(driver("mysql2", "mysql2", "test/store/servers-contract.test.ts", "mysql"), "mysql2@3.9"),
  driver("mariadb", "mariadb", other, "the mariadb connector"),
  driver("better-sqlite3", "better-sqlite3", "test/store/contract.test.ts", "better-sqlite3"),
  after(driver("@libsql/client", "@libsql/client", other, "libSQL"), "@libsql/client@0.14"),
  orm("Drizzle", "drizzle-orm"),
  orm("Kysely", "kysely"),
  orm("Prisma", "@prisma/adapter-pg"),
  orm("TypeORM", "typeorm"),
  orm("MikroORM", "@mikro-orm/postgresql"),
  after(elsewhere("jose", "jose", "test/adapters/oidc.test.ts"), "jose@6.0"),
  after(elsewhere("prom-client", "prom-client", "test/telemetry/telemetry.test.ts"), "prom-client@15.0"),
  after(
    elsewhere("@opentelemetry/api", "@opentelemetry/api", "test/telemetry/telemetry.test.ts"),
    "@opentelemetry/api@1.9",
  ),
  after(elsewhere("redis", "redis", "test/cli/import-redis.test.ts"), "redis@5"),
  after(elsewhere("ioredis", "ioredis", "test/cli/import-redis.test.ts"), "ioredis@5"),
].flat();

const headings: Readonly<Record<Row["group"], string>> = {
  Frameworks: "Frameworks",
  Beside: "Session and authentication libraries",
  Runtimes: "Runtimes",
  Drivers: "Drivers",
  ORMs: "Handles of ORMs and query builders",
  Other: "Telemetry, OpenID Connect, import from Redis",
};

/** README's table, of these rows and databases. */
export function tableOf(shown: readonly Row[], databases: readonly string[]): string {
  const lines = Object.entries(headings).flatMap(([group, heading]) => {
    const named = new Map<string, string[]>();
    for (const { name, version } of shown.filter((row) => row.group === group))
      named.set(name, [...(named.get(name) ?? []), version]);
    if (named.size === 0) return [];
    return `| ${heading} | ${[...named].map(([name, versions]) => `${name} ${versions.join(", ")}`).join(" · ")} |`;
  });
  return ["| | tested with |", "| --- | --- |", ...lines, `| Databases | ${databases.join(" · ")} |`].join(
    "\n",
  );
}

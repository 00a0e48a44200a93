/** What README says the package was tested with, and the suite that shows it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bun, deno, newestNode, oldestNode } from "../runtimes/runtimes.ts";

export interface Row {
  readonly group: "Frameworks" | "Beside" | "Runtimes" | "Drivers" | "ORMs";
  readonly name: string;
  readonly version: string;
  readonly file: string;
  /** Parts of the full names of its tests; absent if all tests of the file are about it. */
  readonly within?: readonly string[];
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

export const rows: readonly Row[] = [
  framework("Express", "express", "express"),
  framework("Fastify", "fastify", "fastify"),
  framework("Koa", "koa", "koa"),
  framework("Hono", "hono", "hono"),
  framework("Elysia", "elysia", "elysia"),
  framework("hapi", "@hapi/hapi", "hapi"),
  framework("NestJS", "@nestjs/core", "nest"),
  framework("Next.js", "next", "next-example"),
  framework("h3", "h3", "h3"),
  framework("Nuxt", "nuxt", "nuxt-example"),
  framework("Astro", "astro", "astro-example"),
  framework("SvelteKit", "@sveltejs/kit", "sveltekit-example"),
  framework("TanStack Start", "@tanstack/react-start", "tanstack-start-example"),
  framework("React Router", "react-router", "react-router"),
  beside("express-session", "express-session", "express-session"),
  beside("@fastify/session", "@fastify/session", "fastify-session"),
  beside("koa-session", "koa-session", "koa-session"),
  beside("better-auth", "better-auth", "better-auth"),
  beside("Auth.js", "@auth/core", "authjs"),
  beside("AdonisJS", "@adonisjs/core", "adonisjs-example"),
  runtime("Node", oldestNode.version),
  // The one that runs everything else, too.
  { group: "Runtimes", name: "Node", version: installed("node"), file: "test/store/contract.test.ts" },
  runtime("Node", newestNode.version),
  runtime("Bun", bun.version),
  runtime("Deno", deno.version),
  { ...driver("workerd", "workerd", "test/drivers/workerd.test.ts"), group: "Runtimes" },
  driver("pg", "pg", "test/store/servers-contract.test.ts", "postgres"),
  driver("postgres.js", "postgres", other, "postgres.js"),
  driver("PGlite", "@electric-sql/pglite", other, "PGlite"),
  driver("@neondatabase/serverless", "@neondatabase/serverless", other, "@neondatabase/serverless"),
  driver("mysql2", "mysql2", "test/store/servers-contract.test.ts", "mysql"),
  driver("mariadb", "mariadb", other, "the mariadb connector"),
  driver("better-sqlite3", "better-sqlite3", "test/store/contract.test.ts", "better-sqlite3"),
  driver("@libsql/client", "@libsql/client", other, "libSQL"),
  orm("Drizzle", "drizzle-orm"),
  orm("Kysely", "kysely"),
  orm("Prisma", "@prisma/adapter-pg"),
  orm("TypeORM", "typeorm"),
  orm("MikroORM", "@mikro-orm/postgresql"),
];

const headings: Readonly<Record<Row["group"], string>> = {
  Frameworks: "Frameworks",
  Beside: "Session and authentication libraries",
  Runtimes: "Runtimes",
  Drivers: "Drivers",
  ORMs: "Handles of ORMs and query builders",
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

/**
 * Versions of libraries before those that `npm ci` installs: the lower end of each peer range, and older major versions.
 * `npm run test:versions` runs their suites, each in a copy of the repository.
 */
import type { Packages, TreeOptions } from "./tree.ts";
import { astro5, astro6, nuxt3, svelteKit2 } from "./older-apps.ts";

export interface Older {
  /** The packages that are taken in this version; the first is the library itself. */
  readonly packages: Packages;
  readonly suites: readonly string[];
  /** TEST_DATABASES; memory and SQLite unless said otherwise. */
  readonly databases?: string;
  /** Files that are left out, because this version cannot do what they test. */
  readonly without?: readonly string[];
  /** Runs only the tests whose full name this matches. */
  readonly only?: string;
  /** Rewrites what an application of this version writes differently. */
  readonly rewrite?: (tree: string) => void;
  /** For applications: see TreeOptions. */
  readonly hoisted?: TreeOptions["hoisted"];
}

const adapters = (...names: readonly string[]): string[] =>
  names.map((name) => `test/adapters/${name}.test.ts`);

/** Suites that run on several frameworks, this one among them. */
const habits = adapters("failed-commit", "undeliverable", "insecure-request", "habits", "client-address");
const dropIns = adapters("drop-in-down", "drop-in-identity", "drop-in-values", "drop-in-waits");
const servers = [
  "test/store/servers-contract.test.ts",
  "src/sql/",
  "test/store/servers",
  "test/store/pool-settings",
  "test/session/races",
];
const more = ["test/session/revocation", "test/cli/servers", "test/drivers/handles"];

export const older: Readonly<Record<string, Older>> = {
  "express@4.21": {
    packages: { express: "4.21.0" },
    suites: [
      ...adapters("express", "express-session", "compression", "passport", "oidc", "leaving"),
      ...habits,
      "test/dashboard/mounts",
    ],
  },
  "express-session@1.17": {
    packages: { "express-session": "1.17.0" },
    suites: [...adapters("express-session", "passport"), ...dropIns, "test/cli/import.test"],
    only: "^(?!.*genid and a cookie function)", // which begins with 1.19
  },
  "fastify@5.0": {
    packages: { fastify: "5.0.0" },
    suites: [...adapters("fastify", "fastify-session"), ...habits, "test/dashboard/mounts"],
  },
  "koa@2.15": {
    packages: { koa: "2.15.0" },
    suites: [...adapters("koa", "koa-session"), ...habits, "test/dashboard/mounts"],
  },
  "koa-session@7.0": {
    packages: { "koa-session": "7.0.0" },
    suites: [...adapters("koa-session"), ...dropIns],
  },
  "hono@4.5": {
    packages: { hono: "4.5.0" },
    suites: [...adapters("hono"), ...habits, "test/dashboard/"],
  },
  "elysia@1.4.4": {
    packages: { elysia: "1.4.4" },
    suites: adapters("elysia", "elysia-example"),
    only: "^(?!.*in Chromium)", // it sends every string as text/plain, the example's page too
  },
  "@hapi/hapi@21.0": {
    packages: { "@hapi/hapi": "21.0.0" },
    suites: adapters("hapi", "hapi-example"),
    only: "^(?!.*type-checks)", // it has no types of its own
  },
  "h3@1.15": {
    packages: { "h3-v1": "npm:h3@1.15.0" },
    suites: adapters("h3"),
  },
  "react-router@7.0": {
    packages: { "react-router": "7.0.0" },
    suites: adapters("react-router", "react-router-request"),
    only: "^(?!.*with sessionMiddleware)", // middleware begins with 7.9
  },
  "react-router@7.9": {
    packages: { "react-router": "7.9.0", react: "19.3.1", "react-dom": "19.3.1" },
    suites: adapters("react-router", "react-router-request"),
  },
  "nuxt@3": {
    packages: { nuxt: "3.21.11" },
    suites: adapters("nuxt-example"),
    hoisted: "linked",
    rewrite: nuxt3,
  },
  "astro@5": {
    packages: { astro: "5.18.2", "@astrojs/node": "9.5.5" },
    suites: adapters("astro", "astro-example"),
    only: "^(?!.*everything that the example printed)", // its own adapter prints a TypeError for a POST to a missing file
    hoisted: "linked",
    rewrite: astro5,
  },
  "astro@6": {
    packages: { astro: "6.4.8", "@astrojs/node": "10.1.4" },
    suites: adapters("astro", "astro-example"),
    hoisted: "linked",
    rewrite: astro6,
  },
  "@sveltejs/kit@2": {
    packages: {
      "@sveltejs/kit": "2.70.4",
      "@sveltejs/adapter-node": "5.5.7",
      "@sveltejs/vite-plugin-svelte": "6.2.1",
      svelte: "5.43.0",
      vite: "7.1.12",
    },
    suites: adapters("sveltekit", "sveltekit-example"),
    hoisted: "linked",
    rewrite: svelteKit2,
  },
  "better-auth@1.7": {
    packages: { "better-auth": "1.7.0" },
    suites: adapters("better-auth", "better-auth-example"),
  },
  "pg@8.11": {
    packages: { pg: "8.11.0" },
    suites: [...servers, ...more],
    databases: "postgres",
    without: ["test/store/servers-leaked-transactions.test.ts"], // see docs/drivers.md
  },
  "mysql2@3.9": { packages: { mysql2: "3.9.0" }, suites: [...servers, ...more], databases: "mysql,mariadb" },
  "@libsql/client@0.14": {
    packages: { "@libsql/client": "0.14.0" },
    suites: ["test/drivers/contract.test.ts", "test/drivers/"],
    only: "libSQL|libsql",
  },
  "redis@5": { packages: { redis: "5.0.0" }, suites: ["test/cli/import-redis.test.ts"] },
  "ioredis@5": { packages: { ioredis: "5.0.0" }, suites: ["test/cli/import-redis.test.ts"] },
  "jose@6.0": { packages: { jose: "6.0.0" }, suites: adapters("oidc", "oidc-provider") },
  "prom-client@15.0": {
    packages: { "prom-client": "15.0.0" },
    suites: [
      "test/telemetry/telemetry.test.ts",
      "test/telemetry/",
      "test/session/rejected-cookies",
      "src/shared/option-checks",
    ],
  },
  "@opentelemetry/api@1.9": {
    packages: { "@opentelemetry/api": "1.9.0" },
    suites: ["test/telemetry/telemetry.test.ts", "test/telemetry/"],
  },
};

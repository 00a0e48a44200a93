import { existsSync } from "node:fs";
import type { KnipConfig } from "knip";
import manifest from "./package.json" with { type: "json" };

/** The sources behind the package's subpaths: what they export is for users. */
const subpaths = Object.values(manifest.exports)
  .filter((file) => file.endsWith(".js"))
  .map((file) => file.replace(/^\.\/dist\/(.*)\.js$/, "src/$1.ts"));

/** TanStack Start writes it when it builds the example. knip asks to remove what it did not have to ignore. */
const isBuilt = ["ts", "js"].some((end) => existsSync(`examples/tanstack-start/src/routeTree.gen.${end}`));

const config: KnipConfig = {
  workspaces: {
    ".": {
      entry: [
        ...subpaths,
        "scripts/complete-lock.ts",
        "scripts/screenshots.ts",
        "scripts/services/main.ts",
        "test/**/*.worker.ts",
        "test/**/children/*.ts",
        "test/drivers/{kills,runtimes,workerd}/*.ts",
        "test/{fuzz,campaigns}/*.ts",
        "test/docs/context*/*.ts",
        "benchmarks/*.ts",
      ],
      project: ["src/**/*.ts", "test/**/*.ts", "scripts/**/*.ts", "benchmarks/*.ts"],
    },
    "examples/adonisjs": { entry: ["adonisrc.ts", "{bin,config,start}/*.ts", "app/**/*.ts"] },
    "examples/nuxt": { entry: ["server/**/*.js"] },
    "examples/tanstack-start": { entry: ["src/{router.jsx,server.js}", "src/routes/*.{js,jsx}"] },
  },
  ignoreExportsUsedInFile: true,
  ignoreUnresolved: isBuilt ? [] : ["./routeTree.gen"],
  ignoreDependencies: ["axe-core", "jest", "supertest"], // run by the tests in projects of their own
  rules: { duplicates: "off" }, // a Fastify plugin is both default and named
  ignoreBinaries: ["apt-get", "dpkg", "mkfifo", "openssl", "script"],
};

export default config;

import { describe, expect, test } from "vitest";
import { OptionsError } from "../errors.ts";
import { driverProblem, exportsOf } from "./load-driver.ts";

const withCode = (message: string, code: string) => Object.assign(new Error(message), { code });
const pg = { name: "pg", why: "postgresStore was given a URL", otherwise: "pass a pool" };

describe("a client library that cannot be loaded", () => {
  test.each<[string, unknown]>([
    ["Node, ESM", withCode("Cannot find package 'pg' imported from /app/x.js", "ERR_MODULE_NOT_FOUND")],
    ["Node, CommonJS", withCode("Cannot find module 'pg'\nRequire stack:\n- /app/x.js", "MODULE_NOT_FOUND")],
    ["webpack", withCode("Cannot find module 'pg'", "MODULE_NOT_FOUND")],
    ["esbuild", new Error('Dynamic require of "pg" is not supported')],
    ["Vite", new Error('Could not resolve "pg" imported by "stored-session". Is it installed?')],
    ["workerd", new Error('No such module "pg".\n  imported from "worker.js"')],
    ["Turbopack", new Error("Failed to load external module pg-1a2b: Error: Cannot find module 'pg'")],
    ["Vite's module runner", new Error("Failed to resolve import 'pg' from 'x.ts'")],
    ["Yarn PnP", withCode("Your application tried to access pg, but it isn't declared", "MODULE_NOT_FOUND")],
  ])("%s says that it is missing → a configuration error that says what to install", (_name, cause) => {
    const error = driverProblem(cause, pg);
    expect(error).toBeInstanceOf(OptionsError);
    expect(error).toMatchObject({ code: "ERR_STORED_SESSION_OPTIONS", status: 500, cause });
    expect(error.message).toMatch(
      /^Stored Session cannot start: postgresStore was given a URL and needs the package "pg"\. Run "npm install pg", or pass a pool\./,
    );
  });

  test.each<[string, unknown]>([
    ["lacks a package of its own", withCode("Cannot find module 'pg-types'", "MODULE_NOT_FOUND")],
    [
      "lacks a package of its own, and Node lists who asked",
      withCode("Cannot find module 'split2'\nRequire stack:\n- pg\n- /app/pg/x.js", "MODULE_NOT_FOUND"),
    ],
    [
      "has no native part for this Node",
      withCode("was compiled against a different Node", "ERR_DLOPEN_FAILED"),
    ],
    ["throws a text", "pg is broken"],
    ["throws nothing", undefined],
  ])("it is there and %s → a configuration error with the reason", (_name, cause) => {
    const { message } = driverProblem(cause, pg);
    expect(message).toMatch(/"pg", which is installed but cannot be loaded: /);
    expect(message).toContain(cause instanceof Error ? cause.message.split("\n")[0] : String(cause));
  });

  test("an empty module in its place → an error", () => {
    const poolOf = (driver: { Pool: unknown }) => driver.Pool;
    class Pool {}
    expect(exportsOf({ Pool }, poolOf)).toStrictEqual({ Pool });
    expect(exportsOf({ default: { Pool } }, poolOf)).toStrictEqual({ Pool });
    for (const empty of [{}, { default: {} }]) expect(() => exportsOf(empty, poolOf)).toThrow(/empty/);
  });
});

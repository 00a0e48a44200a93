import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rows } from "../matrix/rows.ts";
import { root } from "../packaging/projects.ts";
import { older } from "./older.ts";
import { makeTree } from "./tree.ts";

const { peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  peerDependencies: Readonly<Record<string, string>>;
};

/** better-sqlite3 11 and 12 are compiled for the Node that runs npm. Next.js 16.0 builds the example, and fails its walk. */
const untested = ["better-sqlite3", "next"];

test("peer ranges: the lower end of each → a version that npm run test:versions runs the suites on", () => {
  const tested = Object.values(older).map(({ packages }) => {
    const [name, version] = Object.entries(packages)[0]!;
    return version.startsWith("npm:") ? version.slice("npm:".length) : `${name}@${version}`;
  });
  for (const [name, range] of Object.entries(peerDependencies)) {
    if (untested.includes(name)) continue;
    const [, least] = /^>=([\d.]+)$/.exec(range)!;
    expect(tested).toContain(`${name}@${[...least!.split("."), "0", "0"].slice(0, 3).join(".")}`);
  }
});

test("older versions: each → a row of README's table", () => {
  expect(rows.flatMap((row) => row.older ?? []).toSorted()).toEqual(Object.keys(older).toSorted());
});

test("a tree with another version of a package → its tests get that one, everything else stays", () => {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "stored-session-older-"));
  const made: string[] = [];
  try {
    const write = (name: string, version: string): void => {
      mkdirSync(join(folder, name), { recursive: true });
      writeFileSync(
        join(folder, name, "package.json"),
        JSON.stringify({ name, version, exports: "./other.js" }),
      );
      writeFileSync(join(folder, name, "other.js"), "");
    };
    write("express", "4.0.0");
    write("cookie", "0.0.1"); // a dependency of the framework, that ours has in another version
    for (const hoisted of [undefined, "linked"] as const) {
      const tree = makeTree(folder, { names: ["express"], ...(hoisted && { hoisted }) });
      made.push(tree);
      const resolved = (from: string, name: string): string => {
        const text = `process.stdout.write(import.meta.resolve(${JSON.stringify(name)}))`;
        writeFileSync(join(tree, from, "resolve.mjs"), text);
        const printed = execFileSync(process.execPath, [join(tree, from, "resolve.mjs")], {
          encoding: "utf8",
        });
        return realpathSync(new URL(printed).pathname);
      };
      expect(resolved("test", "express")).toBe(join(folder, "express/other.js"));
      expect(resolved("examples/express", "express")).toBe(join(folder, "express/other.js"));
      expect(resolved("test", "koa")).toContain(realpathSync(join(root, "node_modules/koa")));
      expect(resolved("examples/express", "stored-session")).toBe(
        join(tree, hoisted === undefined ? "" : "node_modules/stored-session", "dist/index.js"),
      );
      if (hoisted !== undefined) expect(resolved("test", "cookie")).toBe(join(folder, "cookie/other.js"));
      const parts = ["src", "dist", ...(hoisted === undefined ? [] : ["node_modules/stored-session"])];
      for (const part of parts) expect(resolved(part, "cookie")).not.toMatch(/other\.js$/);
    }
  } finally {
    for (const each of [folder, ...made]) rmSync(each, { recursive: true, force: true });
  }
});

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { otherVersions } from "../../scripts/services/versions.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { serverVersion, sqliteVersion } from "./databases.ts";
import { rows, tableOf } from "./rows.ts";

const root = join(import.meta.dirname, "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const shown = readme.slice(readme.indexOf("| | tested with |")).split("\n\n")[0]!;
const databases = /^\| Databases \| (.*) \|$/m.exec(shown)?.[1]?.split(" · ") ?? [];

test("README: what runs where → the versions that npm ci installs and that the suites run on", () => {
  expect(shown).toBe(tableOf(rows, databases));
});

/** "PostgreSQL 15 to 17" and "MariaDB 10.11, 11.8" as the versions that they name. */
const named = databases.flatMap((each) => {
  const [, name, versions] = /^(\S+) (.*)$/.exec(each)!;
  const [least, most] = versions!.split(" to ").map(Number);
  if (most === undefined) return versions!.split(", ").map((version) => `${name} ${version}`);
  return Array.from({ length: most - least! + 1 }, (_, more) => `${name} ${least! + more}`);
});

const chosenByHand = (kind: string): boolean =>
  ["URL", "VERSION"].some((end) => process.env[`TEST_${kind.toUpperCase()}_${end}`]);

test("README: the databases of the table → name those that these tests run on", async () => {
  expect(databases).toHaveLength(4);
  for (const kind of chosenDatabases()) {
    if (kind === "sqlite") expect(named).toContain(sqliteVersion());
    else if (!chosenByHand(kind))
      expect(named).toContain(await serverVersion(kind, inject("servers")[kind]!));
  }
});

test("README: the databases of the table → name those of npm run test:versions", () => {
  for (const [kind, name] of [
    ["postgres", "PostgreSQL"],
    ["mariadb", "MariaDB"],
  ] as const)
    for (const version of Object.keys(otherVersions[kind])) expect(named).toContain(`${name} ${version}`);
});

test("README: each row of the table → a suite that exists", () => {
  expect(rows.filter(({ file }) => !existsSync(join(root, file)))).toEqual([]);
});

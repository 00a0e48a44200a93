import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { MIGRATIONS, migrationStatus } from "../../src/sql/migrations/migrator.ts";
import { sqliteStore } from "../../src/sql/sqlite/store.ts";
import { randomRow } from "./rows.ts";
import { temporaryFolder } from "./temporary.ts";

const { file } = temporaryFolder();
const child = (name: string): string => fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url));

test("ten processes migrate one new file at once → all succeed", { timeout: 60_000 }, async () => {
  const path = file();
  const processes = Array.from({ length: 10 }, () =>
    spawn(process.execPath, ["--no-warnings", child("migrate"), path], {
      stdio: ["pipe", "pipe", "inherit"],
    }),
  );
  await Promise.all(processes.map(({ stdout }) => once(stdout, "data")));
  const ends = processes.map((started) => once(started, "close"));
  for (const { stdin } of processes) stdin.write("go\n");
  expect((await Promise.all(ends)).map(([code]) => code)).toEqual(processes.map(() => 0));
  const store = sqliteStore(path);
  expect(await migrationStatus(store.database)).toMatchObject({
    applied: MIGRATIONS.map(({ version }) => ({ version })),
    pending: [],
  });
  await store.close();
});

test("promise 2: two processes on one file → no lost update", { timeout: 60_000 }, async () => {
  const path = file();
  const store = sqliteStore(path);
  await store.insert(Array.from({ length: 5 }, () => randomRow({ version: 0 })));
  const ends = [1, 2].map(() =>
    once(
      spawn(process.execPath, ["--no-warnings", child("increment"), path, "400", "16"], { stdio: "inherit" }),
      "close",
    ),
  );
  expect((await Promise.all(ends)).map(([code]) => code)).toEqual([0, 0]);
  const rows = await store.scan(null, 10);
  expect(rows.reduce((sum, { version }) => sum + version, 0)).toBe(800);
  await store.close();
});

/** Every `stored-session …` of README and docs/ is a command line that the command accepts. */
import assert from "node:assert/strict";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { generateKey } from "../../src/index.ts";
import { Folder } from "../cli/command.ts";

const root = join(import.meta.dirname, "../..");
const names =
  "audit|check|count|erase|expire|export|generate|import|init|keys|list|migrate|reseal|revoke|show|stats";
const handle = "q0VwTcQ1m8yDn5rXk2Zb7uHf3sLj9eGa4iPo6tWv1xM";

/** What stands for the placeholders of the pages. */
const words: readonly (readonly [RegExp, string])[] = [
  [/ +#.*$/, ""],
  [/"([^" ]*) ([^"]*)"/g, "$1\u00A0$2"],
  [/[",\]|]+( |$)/g, "$1"],
  [/"(idp=\S+)\|.*$/g, "$1%7Csub"],
  [/<name=value>/g, "idp=sub"],
  [/<handle>/g, handle],
  [/<tool>/g, "drizzle"],
  [/<library>/g, "connect-pg-simple"],
  [/<url>/g, "sqlite:other.sqlite3"],
  [/<time>/g, "2026-11-22T08:00Z"],
  [/<\w+>/g, "42"],
  [/(\w+)(?:\|\w+)+/g, "$1"],
  [/(--user|--from|--archive)$/, "$1 42"],
  [/--since$/, "--since 2026-11-22"],
];

const pages = ["README.md", "SECURITY.md", ...globSync("{docs,examples}/**/*.md", { cwd: root })].filter(
  (page) => !/node_modules|docs\/(api|\.vitepress)\//.test(page),
);

/** The words behind `stored-session` of each command line, and of each span of code that begins with a command. */
function linesOf(page: string): string[] {
  const text = readFileSync(join(root, page), "utf8");
  return [
    ...text.matchAll(/`(?:npx )?stored-session ([^`\n]+)`/g),
    ...text.matchAll(/^[^`\n]*(?:npx |\.bin\/|^)stored-session[ ,]+([^\n`]*)$/gm),
    ...text.matchAll(new RegExp(`\`((?:${names}) [-a-z<][^\`\n{]*)\``, "g")),
  ].map(([, line]) =>
    words.reduce((found, [from, to]) => found.replaceAll(new RegExp(from, "gm"), to), line!.trim()),
  );
}

// One is a typing error on purpose; the others run until they are stopped.
const lines = [...new Set(pages.flatMap(linesOf))]
  .filter((line) => line !== "lsit" && !/^(audit tail|dashboard)/.test(line))
  .toSorted();
// It writes a configuration, and commands of a folder that has one take longer.
lines.push(...lines.splice(lines.indexOf("init"), 1));

/** What a page leaves out where it names a command, and where it relies on the environment. */
const leftOut =
  /Add --yes|Required option '--dialect|Missing required argument|Pass --from|stores sessions in|The keys of Rails are not set|Choose what to revoke/;

let folder: Folder;
beforeAll(async () => {
  folder = new Folder();
  folder.env["STORED_SESSION_DATABASE_URL"] = "sqlite:sessions.sqlite3";
  folder.env["STORED_SESSION_KEYS"] = generateKey();
  for (const file of ["other.sqlite3", "sessions.ndjson"]) writeFileSync(folder.file(file), "");
  mkdirSync(folder.file("sessions"));
  await folder.run("migrate");
});
afterAll(() => folder.remove());

test("documentation: it shows the commands → they were found", () => {
  assert.ok(lines.length > 40, lines.join("\n"));
});

test.each(lines)("documentation: stored-session %s → no usage error", async (line) => {
  const { code, err } = await folder.run(...line.split(" ").map((word) => word.replaceAll("\u00A0", " ")));
  assert.ok(code !== 2 || leftOut.test(err), err);
});

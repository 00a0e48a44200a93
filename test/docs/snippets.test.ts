/**
 * Type-checks every TypeScript block of README and docs against the built package, as an application would have it.
 * A block is a module of its own. Where its first line is a comment with a file name, other blocks of its page can
 * import it by that name; what a page does not define (`./sessions.ts`, `./app.ts`) is in `context/`. The pages about
 * drop-in stores are a program of their own, because both libraries declare the type of `req.session`.
 */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: root, exclude: ["docs/api/**"] })].toSorted();

interface Block {
  readonly page: string;
  /** Of its first line of code, in the page. */
  readonly line: number;
  readonly file: string;
  readonly code: string;
}

const blocks = pages.flatMap(blocksOf);
const dropIn = /frameworks\/(express|koa)-session\.md$/;
const programs = [
  {
    name: "drop-in",
    contexts: ["context", "context-drop-in"],
    includes: (page: string) => dropIn.test(page),
  },
  { name: "pages", contexts: ["context"], includes: (page: string) => !dropIn.test(page) },
];
let folder: string;

/** Those of an application that is as strict as it can be about this package's types. */
const options = {
  target: "es2024",
  lib: ["es2024", "esnext.disposable", "dom"],
  module: "preserve",
  moduleDetection: "force",
  jsx: "react-jsx",
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  allowImportingTsExtensions: true,
  experimentalDecorators: true,
  skipLibCheck: true,
  noEmit: true,
};

beforeAll(() => {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  folder = mkdtempSync(join(tmpdir(), "stored-session-snippets-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  for (const context of ["context", "context-drop-in"])
    cpSync(join(import.meta.dirname, context), join(folder, context), { recursive: true });
  for (const { file, code } of blocks) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), code);
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  for (const { name, contexts, includes } of programs) {
    const own = blocks.filter(({ page }) => includes(page));
    const compilerOptions = {
      ...options,
      rootDirs: [...contexts, ...new Set(own.map(({ page }) => folderOf(page)))],
    };
    writeFileSync(
      join(folder, `${name}.json`),
      JSON.stringify({ compilerOptions, include: [...contexts, ...own.map(({ file }) => file)] }),
    );
  }
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true }));

/** `docs/frameworks/koa.md` → `pages/docs/frameworks/koa` */
function folderOf(page: string): string {
  return `pages/${page.replace(/\.md$/, "")}`;
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```(tsx?)\n(.*?)^```$/gms)].map(({ index, 1: extension, 2: code = "" }) => {
    const line = text.slice(0, index).split("\n").length + 1;
    const name = /^\/\/ (\S+\.tsx?)\n/.exec(code)?.[1] ?? `block-${line}.${extension}`;
    return { page, line, file: `${folderOf(page)}/${name}`, code };
  });
}

/** `pages/docs/jobs/block-5.ts(3,7): error …` as a place in the page: `docs/jobs.md:7: error …` */
function inPage(message: string): string {
  const [, file, line] = /^(.+?)\((\d+),\d+\)/.exec(message) ?? [];
  const block = blocks.find((candidate) => candidate.file === file);
  return block === undefined
    ? message
    : message.replace(/^.+?\(\d+,\d+\)/, `${block.page}:${block.line + Number(line) - 1}`);
}

/** What `tsc` reports about a program, one message a line. */
function check(name: string): Promise<string[]> {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [tsc, "-p", `${name}.json`, "--pretty", "false"],
      { cwd: folder },
      (_, stdout) =>
        resolve(
          stdout
            .split("\n")
            .filter((line) => line !== "")
            .map(inPage),
        ),
    );
  });
}

test("documentation: every ts and tsx block → type-checks against the built package", async () => {
  assert.ok(blocks.length > 30, `only ${blocks.length} blocks were found`);
  assert.deepEqual((await Promise.all(programs.map(({ name }) => check(name)))).flat(), []);
}, 120_000);

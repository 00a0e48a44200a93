/** Links between the repository's pages, and the sidebar of the documentation site. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import GithubSlugger from "github-slugger";
import { test } from "vitest";
import site from "../../docs/.vitepress/config.ts";

const root = join(import.meta.dirname, "../..");
const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(root, file)));

function textOf(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** Without what is in code, where brackets are no links and `#` begins no heading. */
function proseOf(file: string): string {
  return textOf(file).replaceAll(/^ *(?:\d+\. )?(`{3,})[^\n]*\n.*?^ *\1$/gms, "");
}

/** The anchors that GitHub gives to the headings of a page. */
function anchorsOf(file: string): Set<string> {
  const slugger = new GithubSlugger();
  const headings = [...proseOf(file).matchAll(/^#{1,6} (.+?)\s*$/gm)];
  return new Set(
    headings.map(([, heading]) => slugger.slug(heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1"))),
  );
}

/** The targets of the links and images of a page, apart from other websites. */
function linksOf(file: string): string[] {
  const prose = proseOf(file).replaceAll(/(`+)[^`\n][^\n]*?\1/g, "code");
  return [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target));
}

function problemOf(file: string, target: string): string | undefined {
  const [path = "", anchor] = target.split("#");
  const goal = path === "" ? join(root, file) : join(root, dirname(file), decodeURI(path));
  if (!existsSync(goal)) return `${file}: ${target} does not exist`;
  if (anchor === undefined) return undefined;
  const page = statSync(goal).isDirectory() ? join(goal, "README.md") : goal;
  return anchorsOf(relative(root, page)).has(anchor) ? undefined : `${file}: ${target} has no such heading`;
}

test("documentation: every relative link and anchor → leads to a file and a heading that exist", () => {
  const links = files
    .filter((file) => file !== "docs/index.md") // the home page of the site: its links are those of the site
    .flatMap((file) => linksOf(file).map((target) => ({ file, target })));
  assert.ok(links.length > 100, `only ${links.length} links were found`);
  assert.deepEqual(
    links.map(({ file, target }) => problemOf(file, target)).filter((problem) => problem !== undefined),
    [],
  );
});

test("documentation: every source path in the text → is a file or folder that exists", () => {
  const named = files
    .filter((file) => !/^(decisions|examples)\/|^CHANGELOG/.test(file)) // these describe another time or place
    .flatMap((file) =>
      [...proseOf(file).matchAll(/`((?:src|test|scripts|benchmarks|docs)\/[\w./-]+)`/g)].map(([, path]) => ({
        file,
        path: path!,
      })),
    );
  assert.ok(named.length > 10, `only ${named.length} paths were found`);
  assert.deepEqual(
    named.filter(({ path }) => !existsSync(join(root, path))).map(({ file, path }) => `${file}: ${path}`),
    [],
  );
});

interface Item {
  readonly link?: string;
  readonly items?: readonly Item[];
}

/** The Markdown file that a path of the site shows. */
function sourceOf(link: string): string {
  const path = `${link.slice(1)}${link.endsWith("/") ? "index" : ""}.md`;
  const rewritten = Object.entries(site.rewrites as Record<string, string>).find(
    ([, to]) => to === path,
  )?.[0];
  if (rewritten !== undefined) return rewritten;
  return existsSync(join(root, path)) ? path : `docs/${path}`;
}

function linksIn(items: readonly Item[]): string[] {
  return items.flatMap(({ link, items: inner = [] }) => [
    ...(link === undefined ? [] : [link]),
    ...linksIn(inner),
  ]);
}

const sidebar = linksIn(site.themeConfig!.sidebar as Item[]).filter((link) => link !== "/api/"); // generated

test("documentation site: every entry of the sidebar → is a page that exists", () => {
  assert.deepEqual(
    sidebar.filter((link) => !existsSync(join(root, sourceOf(link)))),
    [],
  );
});

test("documentation site: every page of docs/ and decisions/ → is in the sidebar", () => {
  const shown = new Set(sidebar.map(sourceOf));
  const pages = files.filter((file) => /^(docs|decisions)\//.test(file) && file !== "docs/index.md");
  assert.deepEqual(
    pages.filter((page) => !shown.has(page)),
    [],
  );
});

/**
 * The documentation site: the Markdown of this repository, and an API reference that TypeDoc writes to docs/api.
 * `npm run docs` serves it while you write; `npm run docs:build` builds it and fails on a dead link.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { defineConfig } from "vitepress";
import type { DefaultTheme } from "vitepress";

const root = join(import.meta.dirname, "../..");

/** Pages that are not at their own path. Those of `docs/` are at the top of the site. */
const rewrites: Record<string, string> = {
  "README.md": "introduction.md",
  "ARCHITECTURE.md": "architecture.md",
  "CONTRIBUTING.md": "contributing.md",
  "CHANGELOG.md": "changelog.md",
  "SECURITY.md": "security.md",
  "docs/frameworks/README.md": "frameworks/index.md",
  "benchmarks/README.md": "benchmarks/index.md",
};

/** Folders whose Markdown is not on the site. */
const outside = ["dist", "examples", "test", "src", "reports", "coverage"];

const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#3451b2"/>' +
  '<path d="M9 15h14v9H9zm3 0v-3a4 4 0 0 1 8 0v3" fill="none" stroke="#fff" stroke-width="2.5"/></svg>';

const guides = [
  page("Getting started", "getting-started"),
  page("Options", "options"),
  page("Step-up authentication", "step-up"),
  page("Device-bound sessions", "device-binding"),
  page("Session limits", "session-limits"),
  page("Changes of the client", "client-changes"),
  page("Logout by an identity provider", "oidc-logout"),
  page("Testing", "testing"),
  page("Hot reload", "development"),
  page("Drivers", "drivers"),
  page("Going to production", "going-to-production"),
  page("When one database is not enough", "scaling"),
  page("Data protection", "data-protection"),
  page("Failure", "failure"),
  page("Shutdown", "shutdown"),
  page("Rails mode", "rails"),
];
const operations = [
  page("Operations", "operations"),
  page("Command line", "cli"),
  page("Jobs", "jobs"),
  page("Key rotation", "key-rotation"),
  page("Rolling deploys", "rolling-deploys"),
  page("Telemetry", "telemetry"),
  page("Audit trail", "audit"),
  page("Dashboard", "dashboard"),
  page("Incident guide", "incident-guide"),
  page("Backup and restore", "backup"),
];
const reference = [
  page("What is stored where", "storage"),
  page("Performance", "performance"),
  page("Formats", "formats"),
  page("Security requirements", "security-requirements"),
  page("Benchmarks", "benchmarks/"),
  page("Architecture", "architecture"),
  page("Contributing", "contributing"),
  page("Changelog", "changelog"),
  page("Security policy", "security"),
];

export default defineConfig({
  title: "Stored Session",
  description: "Encrypted, database-backed HTTP sessions for TypeScript servers.",
  srcDir: "..",
  srcExclude: ["**/node_modules/**", ...outside.map((folder) => `${folder}/**`)],
  rewrites: { ...rewrites, "docs/:path(.*)": ":path" },
  cleanUrls: true,
  head: [["link", { rel: "icon", href: `data:image/svg+xml,${encodeURIComponent(icon)}` }]],
  lastUpdated: false,
  markdown: { config: (markdown) => void markdown.use(repositoryLinks) },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Guides", link: "/getting-started" },
      { text: "Frameworks", link: "/frameworks/" },
      { text: "Operations", link: "/operations" },
      { text: "Reference", link: "/formats" },
      { text: "API", link: "/api/" },
    ],
    sidebar: [
      { text: "Introduction", link: "/introduction" },
      { text: "Guides", items: guides },
      {
        text: "Frameworks",
        items: [page("Overview", "frameworks/"), ...pagesIn("docs/frameworks", "frameworks")],
      },
      { text: "Operations", items: operations },
      { text: "Reference", items: [...reference, { text: "API", link: "/api/" }] },
      { text: "Decisions", collapsed: true, items: pagesIn("decisions", "decisions") },
    ],
  },
});

function page(text: string, path: string): DefaultTheme.SidebarItem {
  return { text, link: `/${path}` };
}

/** The pages of a folder in the order of their titles, README apart. */
function pagesIn(folder: string, base: string): DefaultTheme.SidebarItem[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder))
    .filter((file) => file.endsWith(".md") && file !== "README.md")
    .map((file) => ({
      title: titleOf(join(root, folder, file)),
      path: `${base}/${file.slice(0, -".md".length)}`,
    }))
    .toSorted((a, b) => a.title.localeCompare(b.title, "en", { numeric: true }))
    .map(({ title, path }) => page(title, path));
}

function titleOf(file: string): string {
  return /^# (.+)$/m.exec(readFileSync(file, "utf8"))?.[1]?.replaceAll("`", "") ?? file;
}

interface LinkToken {
  type: string;
  children: LinkToken[] | null;
  attrGet(name: string): string | null;
  attrSet(name: string, value: string): void;
}
interface Page {
  readonly tokens: LinkToken[];
  /** Without a path where VitePress renders a title alone. */
  readonly env: { readonly path?: string; readonly realPath?: string };
}

/**
 * Links are written for readers of the repository, relative to the file they are in. A link to a page of the site
 * becomes its address there. A link to anything else (a folder, a source file, an example) keeps its text only.
 */
function repositoryLinks(markdown: {
  core: { ruler: { push(name: string, rule: (page: Page) => void): void } };
}): void {
  markdown.core.ruler.push("repository-links", ({ tokens, env }) => {
    const file = env.realPath ?? env.path;
    if (file === undefined) return;
    for (const { children } of tokens) {
      if (children === null) continue;
      let dropping = false;
      const kept = children.filter((token) => {
        if (token.type === "link_close") {
          const drop = dropping;
          dropping = false;
          return !drop;
        }
        const href = token.type === "link_open" ? token.attrGet("href") : null;
        if (href === null || /^([a-z]+:|#|\/)/.test(href)) return true;
        const [path = "", fragment] = href.split("#");
        const target = join(dirname(file), path);
        dropping = !path.endsWith(".md") || outside.includes(relative(root, target).split("/")[0]!);
        if (!dropping) token.attrSet("href", sitePath(target) + (fragment ? `#${fragment}` : ""));
        return !dropping;
      });
      children.splice(0, children.length, ...kept);
    }
  });
}

/** Where a Markdown file of the repository is on the site. */
function sitePath(file: string): string {
  const path = relative(root, file);
  const place = rewrites[path] ?? path.replace(/^docs\//, "");
  return `/${place.replace(/(index)?\.md$/, "")}`;
}

/** A copy of this repository in which some packages have another version, so that its suites run on that version. */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { manifest } from "../packaging/projects.ts";
import { workplace } from "../../scripts/services/workplace.ts";

const root = join(import.meta.dirname, "../..");

/** Exact versions by the name that imports use; `npm:h3@1.15.0` stands for a package of another name. */
export type Packages = Readonly<Record<string, string>>;

/** The exact version of the first, under which the others are known. */
export const versionOf = (packages: Packages): string => Object.values(packages)[0]!.replace(/^npm:.*@/, "");

/** Installs the packages outside the repository, once. Returns their node_modules. */
export async function fetchPackages(packages: Packages): Promise<string> {
  const wanted = JSON.stringify({ private: true, dependencies: packages });
  const name = Object.entries(packages)[0]!
    .join("@")
    .replaceAll(/[^\w.@-]+/g, "-");
  const place = join(
    workplace(),
    "versions",
    `${name}-${createHash("sha256").update(wanted).digest("hex").slice(0, 8)}`,
  );
  const modules = join(place, "node_modules");
  if (existsSync(modules)) return modules;
  mkdirSync(dirname(place), { recursive: true });
  const unfinished = mkdtempSync(`${place}-`);
  try {
    writeFileSync(join(unfinished, "package.json"), wanted);
    const words = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel", "error"];
    await promisify(execFile)("npm", words, { cwd: unfinished, maxBuffer: 2 ** 26 });
    // Renamed last: an installation that was cut off is never used. Another process may have been faster.
    if (!existsSync(place)) renameSync(unfinished, place);
  } catch (cause) {
    throw new Error(`npm could not install ${JSON.stringify(packages)}: ${(cause as Error).message}`, {
      cause,
    });
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return modules;
}

export interface TreeOptions {
  /** The packages to take from `modules` instead of the repository's node_modules. */
  readonly names: readonly string[];
  /**
   * Takes everything that is in `modules`, as npm lays it out for an application: what a bundler leaves out of its output is found
   * from there. "copied" is for a bundler that follows no link out of its workspace.
   */
  readonly hoisted?: "linked" | "copied";
}

/**
 * Copies the sources and dist, and links node_modules. A linked package finds its own dependencies where it really lies, so
 * Vitest keeps its own Vite even if an older Vite is among the names. The caller removes the folder.
 */
export function makeTree(modules: string, { names, hoisted }: TreeOptions): string {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const tree = mkdtempSync(join(realpathSync(tmpdir()), "stored-session-versions-"));
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const file of listed.split("\0")) {
    if (file === "" || !existsSync(join(root, file))) continue; // removed, and not committed yet
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    copyFileSync(join(root, file), join(tree, file));
    const { atime, mtime } = statSync(join(root, file));
    utimesSync(join(tree, file), atime, mtime); // scripts/build.ts compares them
  }
  cpSync(join(root, "dist"), join(tree, "dist"), { recursive: true });

  const put = (from: string, to: string): void => {
    mkdirSync(dirname(to), { recursive: true });
    if (hoisted === "copied")
      cpSync(realpathSync(from), to, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    else symlinkSync(realpathSync(from), to);
  };
  const taken = hoisted === undefined ? names : packagesIn(modules);
  linkAll("node_modules", tree, taken);
  for (const workspace of workspacesWithModules()) linkAll(join(workspace, "node_modules"), tree, taken);
  const stamp = "node_modules/.stored-session-built";
  cpSync(join(root, stamp), join(tree, stamp), { preserveTimestamps: true });
  for (const name of taken) put(join(modules, name), join(tree, "node_modules", name));
  // The package has its own dependencies, whatever those of the framework are.
  const installed = join(tree, "node_modules/stored-session");
  if (hoisted === undefined) symlinkSync("..", installed);
  else
    for (const part of ["package.json", "dist"])
      cpSync(join(root, part), join(installed, part), { recursive: true });
  for (const name of Object.keys(manifest.dependencies)) {
    for (const part of ["src", "dist"])
      put(join(root, "node_modules", name), join(tree, part, "node_modules", name));
    if (hoisted !== undefined) put(join(root, "node_modules", name), join(installed, "node_modules", name));
  }
  return tree;
}

/** Folders of the repository's workspaces and test applications in which npm has put packages. */
function workspacesWithModules(): string[] {
  return ["examples", "test/adapters", "test/packaging"].flatMap((parent) =>
    readdirSync(join(root, parent))
      .map((name) => join(parent, name))
      .filter((folder) => existsSync(join(root, folder, "node_modules"))),
  );
}

/** Names of the packages in a node_modules, without what tools keep there. */
function packagesIn(modules: string): string[] {
  return readdirSync(modules).flatMap((name) => {
    if (name.startsWith(".") || name.startsWith("$")) return [];
    if (!name.startsWith("@")) return [name];
    return readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`);
  });
}

function linkAll(modules: string, tree: string, except: readonly string[]): void {
  mkdirSync(join(tree, modules), { recursive: true });
  for (const name of packagesIn(join(root, modules))) {
    if (name === "stored-session" || except.includes(name) || basename(name).startsWith(".")) continue;
    const place = join(tree, modules, name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(realpathSync(join(root, modules, name)), place);
  }
}

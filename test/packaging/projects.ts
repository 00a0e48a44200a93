import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const root: string = join(import.meta.dirname, "../..");

interface Manifest {
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}
export const manifest: Manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;

/** What users import, `stored-session` itself first. */
export const subpaths: readonly string[] = Object.keys(manifest.exports)
  .filter((name) => name !== "./package.json")
  .map((name) => join("stored-session", name));

/** Builds and packs the package as a release does; answers the tarball. */
export function pack(into: string): string {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const output = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", into], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const packed = JSON.parse(output) as { filename: string }[] | Record<string, { filename: string }>;
  return join(into, Object.values(packed)[0]!.filename);
}

/** A project that has the packed package, its dependencies, and of everything else only what it asks for. */
export class Project {
  readonly folder: string;

  constructor(tarball: string, type: "module" | "commonjs", others: readonly string[] = []) {
    this.folder = mkdtempSync(join(realpathSync(tmpdir()), "stored-session-project-"));
    this.write("package.json", JSON.stringify({ name: "project", type }));
    const installed = join(this.folder, "node_modules/stored-session");
    mkdirSync(installed, { recursive: true });
    execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
    for (const name of [...Object.keys(manifest.dependencies), ...others]) {
      const link = join(this.folder, "node_modules", name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(root, "node_modules", name), link);
    }
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text);
  }

  /** Runs node in it; answers what it printed. */
  node(...words: string[]): string {
    try {
      return execFileSync(process.execPath, words, { cwd: this.folder, encoding: "utf8", stdio: "pipe" });
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`${words.join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
    }
  }

  /** Runs a compiler over its tsconfig.json; answers the errors. */
  tsc(compiler: string): string {
    const { stdout, stderr } = spawnSync(process.execPath, [compiler, "-p", "."], {
      cwd: this.folder,
      encoding: "utf8",
    });
    return stdout + stderr;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { bundleOf, largestCore } from "../../benchmarks/start.ts";
import { manifest, root } from "./projects.ts";

/** Adapters of Node responses and of fetch, on which those of the frameworks stand. */
const bases = ["./node", "./fetch"];

test("an adapter → imports no other adapter, except for that of node:http or fetch on which it stands", async () => {
  const subpathOf = new Map(
    Object.entries(manifest.exports)
      .filter(([, file]) => file.startsWith("./dist/adapters/"))
      .map(([name, file]) => [file.replace("./dist/", "src/").replace(/\.js$/, ".ts"), name]),
  );
  const { metafile } = await build({
    entryPoints: [...subpathOf.keys()].map((file) => join(root, file)),
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    outdir: "bundle",
    platform: "node",
    format: "esm",
    packages: "external",
  });
  const reached = (file: string, seen: Set<string>): Set<string> => {
    if (seen.has(file)) return seen;
    seen.add(file);
    for (const { path, external } of metafile.inputs[file]!.imports)
      if (external !== true) reached(path, seen);
    return seen;
  };
  const wrong = [...subpathOf].flatMap(([file, name]) =>
    [...reached(file, new Set())]
      .filter((path) => path !== file && subpathOf.has(path) && !bases.includes(subpathOf.get(path)!))
      .map((path) => `${name} imports ${subpathOf.get(path)}`),
  );
  assert.ok(subpathOf.size > 15);
  assert.deepEqual(wrong, []);
});

test("the core without adapters, minified and gzipped → below 60 KiB", async () => {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const { gzipped } = await bundleOf(manifest.exports["."]!);
  expect(gzipped).toBeGreaterThan(20_000); // it has been bundled
  expect(gzipped).toBeLessThan(largestCore);
});

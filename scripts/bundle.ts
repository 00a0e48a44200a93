// Puts the modules of dist into few files: a process that starts loads one in a fraction of the time that it takes to find and
// load a hundred.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { build, transform, type BuildOptions, type Metafile, type OutputFile, type Plugin } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

/** Libraries that become part of dist, as decisions/0036 explains. Only the files behind the dashboard load them. */
const bundled = ["echarts", "hono"];

/** The entry that nearly every process imports. */
const mainEntry = "dist/index.js";

/** Entries that are useful without the core: a store under `migrate` of the CLI, log lines, an auditor's copy of a trail. */
const isLight = /dist\/(?:sql|telemetry|audit)\//;

/** Two files for the modules of the core: those that light entries need too, and the others. */
const files = { base: "dist/shared/base.js", core: "dist/shared/core.js" };
type Group = keyof typeof files;
const placeholder = (group: Group): string => `stored-session:${group}`;

/** Checks of the Node version stay apart: the CLI runs one before anything else is loaded. */
const apart = new Set(["dist/node-check.js", "dist/node-version.js"]);

/**
 * The modules that the core imports statically are in two files, from which other files import what they need. What else
 * several entries share is in files of its own. So each class exists once. The types stay as they are.
 */
export async function bundle(): Promise<void> {
  const { exports, bin, dependencies, peerDependencies, devDependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  ) as Record<string, Record<string, string>>;
  const outside = Object.keys({ ...dependencies, ...peerDependencies, ...devDependencies }).filter(
    (name) => !bundled.includes(name),
  );
  const options = {
    absWorkingDir: root,
    bundle: true,
    external: outside.flatMap((name) => [name, `${name}/*`]),
    platform: "node",
    format: "esm",
    target: "node22",
    charset: "utf8",
    keepNames: true, // errors and messages name classes
    outbase: "dist",
    outdir: "dist",
    metafile: true,
    write: false,
    logLevel: "error",
  } satisfies BuildOptions;
  const { outdir: _, ...toOneFile } = options;
  const entries = [...Object.values(exports!), ...Object.values(bin!), "./dist/cli/run.js"]
    .filter((file) => file.endsWith(".js"))
    .map((file) => relative(".", file));
  const { groups, later } = await modulesOfCore(entries, options);
  const names = await namesOf(groups, options);
  const outputs: OutputFile[] = [];
  for (const group of ["base", "core"] as const) {
    const { outputFiles } = await build({
      ...toOneFile,
      stdin: { contents: contentsOf(group, names), resolveDir: root, sourcefile: `${group}.js` },
      outfile: files[group],
      plugins: [laterModules(files[group]), ...(group === "core" ? [fromGroups(names, ["base"])] : [])],
    });
    outputs.push(...outputFiles);
  }
  const others = await build({
    ...options,
    entryPoints: [...entries.filter((file) => file !== mainEntry), ...later],
    splitting: true,
    chunkNames: "shared/[hash]",
    plugins: [fromGroups(names, ["base", "core"])],
  });
  const main = names.get(mainEntry)!.list.map(({ name, alias }) => `${alias} as ${name}`);
  const mainText = `export {\n  ${main.join(",\n  ")}\n} from "./shared/core.js";\n`;

  for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" }))
    if (file.endsWith(".js")) rmSync(join(dist, file));
  for (const { path, contents, text } of [...outputs, ...others.outputFiles]) {
    mkdirSync(dirname(path), { recursive: true });
    // That of the library that draws charts: the others stay readable.
    const isLarge = contents.length > 500_000;
    const code = linked(path, text);
    writeFileSync(path, isLarge ? (await transform(code, { minify: true, keepNames: true })).code : code);
  }
  writeFileSync(join(root, mainEntry), mainText);
}

/** The text of an output with the paths of the two files in place of their placeholders. */
function linked(path: string, text: string): string {
  let code = text;
  for (const group of ["base", "core"] as const) {
    const at = relative(dirname(path), join(root, files[group]));
    code = code.replaceAll(`"${placeholder(group)}"`, JSON.stringify(at.startsWith(".") ? at : `./${at}`));
  }
  return code;
}

/** The modules that the core imports statically, and those that they load when they need them. */
async function modulesOfCore(
  entries: readonly string[],
  options: BuildOptions,
): Promise<{ groups: ReadonlyMap<string, Group>; later: readonly string[] }> {
  const { metafile } = await build({ ...options, entryPoints: [...entries] });
  const { inputs } = metafile as Metafile;
  const later = new Set<string>();
  const reach = (roots: readonly string[], found: Set<string> = new Set()): ReadonlySet<string> => {
    for (const file of roots) {
      if (found.has(file) || apart.has(file)) continue;
      found.add(file);
      const own = inputs[file]!.imports.filter(({ external }) => !external);
      reach(
        own.filter(({ kind }) => kind !== "dynamic-import").map(({ path }) => path),
        found,
      );
    }
    return found;
  };
  const core = reach([mainEntry]);
  const light = reach(entries.filter((file) => isLight.test(file)));
  for (const file of core)
    for (const { path, kind, external } of inputs[file]!.imports)
      if (kind === "dynamic-import" && !external && !core.has(path)) later.add(path);
  const groups = new Map<string, Group>();
  for (const file of core) groups.set(file, light.has(file) ? "base" : "core");
  return { groups, later: [...later] };
}

interface Name {
  readonly name: string;
  /** Its name in the file of the core, where no two modules export the same. */
  readonly alias: string;
}

interface Exports {
  readonly group: Group;
  readonly list: readonly Name[];
}

type Names = ReadonlyMap<string, Exports>;

/** What each module exports. */
async function namesOf(groups: ReadonlyMap<string, Group>, options: BuildOptions): Promise<Names> {
  const { metafile } = await build({ ...options, entryPoints: [...groups.keys()] });
  const names = new Map<string, Exports>();
  for (const [module, group] of groups) {
    const exported = (metafile as Metafile).outputs[module]!.exports;
    const place = names.size;
    names.set(module, { group, list: exported.map((name) => ({ name, alias: `${name}_${place}` })) });
  }
  return names;
}

function contentsOf(group: Group, names: Names): string {
  const lines: string[] = [];
  for (const [module, { group: its, list }] of names) {
    if (its !== group) continue;
    const renamed = list.map(({ name, alias }) => `${name} as ${alias}`);
    lines.push(
      renamed.length > 0 ? `export { ${renamed.join(", ")} } from "./${module}";` : `import "./${module}";`,
    );
  }
  return lines.join("\n");
}

/** In a file of the core: the modules that are loaded when they are needed stay outside. */
function laterModules(file: string): Plugin {
  return {
    name: "later modules",
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ path, resolveDir, kind }) => {
        if (kind !== "dynamic-import") return undefined;
        return { path: relative(dirname(join(root, file)), join(resolveDir, path)), external: true };
      });
    },
  };
}

/** Imports of a module of these groups come from the group's file. */
function fromGroups(names: Names, groups: readonly Group[]): Plugin {
  return {
    name: "from groups",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
        const file = relative(root, join(resolveDir, path));
        const found = names.get(file);
        return found && groups.includes(found.group) ? { path: file, namespace: "core" } : undefined;
      });
      onResolve({ filter: /^stored-session:/ }, ({ path }) => ({ path, external: true }));
      onLoad({ filter: /.*/, namespace: "core" }, ({ path }) => {
        const { group, list } = names.get(path)!;
        const renamed = list.map(({ name, alias }) => `${alias} as ${name}`);
        return { contents: `export { ${renamed.join(", ")} } from "${placeholder(group)}";`, loader: "js" };
      });
    },
  };
}

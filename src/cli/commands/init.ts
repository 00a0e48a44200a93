import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, isAbsolute, join, normalize, resolve } from "node:path";
import { parseEnv } from "node:util";
import { Option, type Command } from "commander";
import { generateKey } from "../../sealing/keyring.ts";
import { asking, canAsk } from "../ask.ts";
import { kindOf } from "../environment.ts";
import { exitCodes, Failure } from "../failure.ts";
import { wrapped, type Terminal } from "../terminal.ts";
import { paint } from "../work.ts";

type Kind = "sqlite" | "postgres" | "mysql";

interface Options {
  database?: Kind;
  file?: string;
  typescript?: boolean;
  yes?: boolean;
  force?: boolean;
}

export function initCommand(program: Command, terminal: Terminal): void {
  program
    .command("init")
    .description("write a configuration file and generate a key")
    .addOption(
      new Option("--database <kind>", "database for the sessions").choices(["sqlite", "postgres", "mysql"]),
    )
    .option("--file <path>", "the SQLite file (default: sessions.sqlite3)")
    .option("--typescript", "write TypeScript (default: when there is a tsconfig.json)")
    .option("--no-typescript", "write JavaScript")
    .option("-y, --yes", "ask nothing and use the defaults")
    .option("--force", "overwrite an existing configuration")
    .action((options: Options) => init(terminal, options));
}

async function init(terminal: Terminal, options: Options): Promise<void> {
  const { cwd, out } = terminal;
  const style = paint(terminal);
  const configs = ["ts", "mts", "js", "mjs"].map(configName);
  const there = configs.find((name) => kindOf(join(cwd, name)) !== "none");
  for (const name of [...configs, ".gitignore"]) assertWritable(cwd, name);
  if (there !== undefined && !options.force) {
    throw new Failure(
      `${there} already exists. Use --force to overwrite it. Nothing was changed.`,
      exitCodes.usage,
    );
  }
  const place = keyPlace(terminal);
  const { kind, file } = await answers(terminal, options);
  assertFileName(file);
  if (kind === "sqlite") makeFolder(terminal, file);
  // The key first: without it the configuration is of no use, and would stand in the way of another try.
  writeKey(terminal, place);
  const name = there ?? configName(endingFor(cwd, options.typescript));
  // A new file is made only where there is nothing, not even a link that leads nowhere yet.
  const flag = there === undefined ? "wx" : "w";
  writeFileSync(join(cwd, name), configText(kind, file, /\.m?ts$/.test(name)), { flag });
  say(terminal, `${style("green", "✓")} Wrote ${name}`);
  ignore(terminal, [".env", ...(kind === "sqlite" ? ignoredOf(file) : [])]);

  const driver = { sqlite: null, postgres: "pg", mysql: "mysql2" }[kind];
  const steps = [
    ...(driver !== null && !existsSync(join(cwd, "node_modules", driver)) ? [`npm install ${driver}`] : []),
    "npx stored-session migrate",
    "npx stored-session check",
  ];
  out.write(`\nNext:\n\n${steps.map((step) => `  ${style("bold", step)}`).join("\n")}\n`);
  if (kind !== "sqlite")
    say(terminal, "\nDATABASE_URL says where the database is: put it into .env as well.");
  out.write(
    `\nThen, in your application (run it with node --env-file=.env):\n\n${usage(name)
      .map((line) => (line === "" ? "" : `  ${line}`))
      .join("\n")}\n`,
  );
}

function say({ out }: Terminal, line: string): void {
  out.write(`${wrapped(out, line)}\n`);
}

/** `init` writes into files of this folder, and into nothing that a link or a pipe of that name leads to. */
function assertWritable(cwd: string, name: string): void {
  const kind = kindOf(join(cwd, name));
  if (kind === "dangling") {
    throw new Failure(
      `${name} is a link to a file that does not exist. Create the file, or remove the link. Nothing was changed.`,
      exitCodes.usage,
    );
  }
  if (kind === "none" || kind === "file") return;
  throw new Failure(`${name} is not a regular file. Remove it first. Nothing was changed.`, exitCodes.usage);
}

/** A line break would be a line of its own in .gitignore, such as one that lets the key into the repository. */
function assertFileName(file: string): void {
  if (!/\p{Cc}/u.test(file)) return;
  throw new Failure(
    "--file contains a control character, such as a line break. Nothing was changed.",
    exitCodes.usage,
  );
}

function usage(config: string): string[] {
  return [
    'import { createSessionManager } from "stored-session";',
    'import { session } from "stored-session/express";',
    `import options from "./${config}";`,
    "",
    "export const sessions = createSessionManager(options);",
    "app.use(session(sessions));",
  ];
}

function configName(ending: string): string {
  return `stored-session.config.${ending}`;
}

function endingFor(cwd: string, typescript: boolean | undefined): string {
  if (typescript ?? existsSync(join(cwd, "tsconfig.json"))) return isModule(cwd) ? "ts" : "mts";
  return isModule(cwd) ? "js" : "mjs";
}

function isModule(cwd: string): boolean {
  try {
    const read = JSON.parse(readFileSync(join(cwd, "package.json"), "utf8")) as { type?: string };
    return read.type === "module";
  } catch {
    return false;
  }
}

async function answers(terminal: Terminal, options: Options): Promise<{ kind: Kind; file: string }> {
  const usual = "sessions.sqlite3";
  if (options.yes || !canAsk(terminal)) {
    return { kind: options.database ?? "sqlite", file: options.file || usual };
  }
  return await asking(terminal, async (ask) => {
    let kind = options.database;
    while (kind === undefined) {
      const answer = (await ask("Where do sessions live? sqlite, postgres or mysql [sqlite] ")) || "sqlite";
      if (answer === "sqlite" || answer === "postgres" || answer === "mysql") kind = answer;
    }
    let { file } = options;
    if (kind === "sqlite" && file === undefined) file = await ask(`In which file? [${usual}] `);
    terminal.err.write("\n");
    return { kind, file: file || usual };
  });
}

/** Whether it names a file: SQLite has names that are none, such as :memory:. */
function isPath(file: string): boolean {
  return !file.startsWith(":") && !file.startsWith("file:");
}

/** SQLite makes a file, and never its folder. */
function makeFolder(terminal: Terminal, file: string): void {
  const folder = dirname(resolve(terminal.cwd, file));
  if (!isPath(file) || existsSync(folder)) return;
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new Failure(
      `The folder ${folder} could not be created (${(error as Error).message}). Create it, or pass another --file. Nothing was changed.`,
      exitCodes.failed,
      { cause: error },
    );
  }
  const mark = paint(terminal)("green", "✓");
  say(terminal, `${mark} Made the folder ${folder}: it must be there wherever the application runs`);
}

/** The names of a file of SQLite as git matches them; none for what is not in this folder. */
function ignoredOf(file: string): string[] {
  const name = normalize(file).replaceAll("\\", "/");
  if (!isPath(file) || isAbsolute(file) || name.startsWith("../")) return [];
  return [name, `${name}-wal`, `${name}-shm`].map(asPattern);
}

/** Matches that name alone: "!" would take names off the list, "#" begins a comment, "*" matches others. */
function asPattern(name: string): string {
  return name
    .replace(/[\\*?[\]]/g, "\\$&")
    .replace(/^[!#]/, "\\$&")
    .replace(/ +$/, (spaces) => "\\ ".repeat(spaces.length));
}

function configText(kind: Kind, file: string, typescript: boolean): string {
  const isBeside = kind === "sqlite" && isPath(file) && !isAbsolute(file);
  const store = {
    // Beside this file, wherever the application and the command are started.
    sqlite: `sqliteStore(${isBeside ? `join(import.meta.dirname, ${JSON.stringify(file)})` : JSON.stringify(file)})`,
    postgres: "postgresStore(url)",
    mysql: "mysqlStore(url)",
  }[kind];
  const joining = isBeside ? 'import { join } from "node:path";\n' : "";
  const url =
    kind === "sqlite"
      ? ""
      : `const url = process.env.DATABASE_URL;
if (!url) throw new Error("DATABASE_URL is not set. Set it to the URL of the session database.");

`;
  const types = typescript ? 'import type { SessionManagerOptions } from "stored-session";\n' : "";
  const annotation = typescript ? "" : '/** @type {import("stored-session").SessionManagerOptions} */\n';
  return `${joining}${types}import { ${kind}Store } from "stored-session/${kind}";

${url}// Read by the application and by the command "stored-session".
${annotation}export default {
  store: ${store},
  // Newest first, comma-separated: the first seals, all open.
  keys: process.env.STORED_SESSION_KEYS,
}${typescript ? " satisfies SessionManagerOptions" : ""};
`;
}

/** The `.env` of this folder and what is in it; null when a key is there already and it need not be written. */
function keyPlace({ cwd, env }: Terminal): { path: string; before: string } | null {
  if (env["STORED_SESSION_KEYS"]?.trim()) return null;
  const path = join(cwd, ".env");
  if (!["none", "file"].includes(kindOf(path))) {
    throw new Failure(
      '.env is not a file, so the key cannot be written to it. Run "stored-session keys generate", set STORED_SESSION_KEYS to its output, and retry. Nothing was changed.',
      exitCodes.usage,
    );
  }
  const before = existsSync(path) ? readFileSync(path, "utf8") : "";
  return parseEnv(before)["STORED_SESSION_KEYS"]?.trim() ? null : { path, before };
}

function writeKey(terminal: Terminal, place: ReturnType<typeof keyPlace>): void {
  const style = paint(terminal);
  if (place === null) {
    say(terminal, `${style("green", "✓")} Kept the keys that are in STORED_SESSION_KEYS`);
    return;
  }
  const { path, before } = place;
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  appendFileSync(path, `${gap}STORED_SESSION_KEYS=${generateKey()}\n`, { mode: 0o600 });
  if (before === "") chmodSync(path, 0o600);
  say(
    terminal,
    `${style("green", "✓")} Wrote a new key into .env: keep it secret, and keep it (without it nobody stays logged in)`,
  );
  if (process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0) {
    say(
      terminal,
      `${style("yellow", "!")} Other users of this machine may open .env: "chmod 600 .env" keeps the key from them`,
    );
  }
}

function isInRepository(folder: string): boolean {
  if (existsSync(join(folder, ".git"))) return true;
  return dirname(folder) !== folder && isInRepository(dirname(folder));
}

/** Keeps secrets and data out of the repository. */
function ignore(terminal: Terminal, names: readonly string[]): void {
  const { cwd } = terminal;
  if (!isInRepository(cwd) && !existsSync(join(cwd, ".gitignore"))) return;
  const path = join(cwd, ".gitignore");
  const before = existsSync(path) ? readFileSync(path, "utf8") : "";
  const known = new Set(before.split(/\r?\n/).map((line) => line.trim().replace(/^\//, "")));
  const missing = names.filter((name) => !known.has(name));
  if (missing.length === 0) return;
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  // The mode of a new file; Deno gives an existing one 0666 otherwise.
  appendFileSync(path, `${gap}${missing.join("\n")}\n`, { mode: 0o644 });
  say(terminal, `${paint(terminal)("green", "✓")} Added ${missing.join(", ")} to .gitignore`);
}

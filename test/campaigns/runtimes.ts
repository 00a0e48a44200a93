/**
 * Whole suites on the runtimes beside the Node that runs `npm test`:
 *
 *   node test/campaigns/runtimes.ts [Node@22.13.0] [Node@26.10.0] [Bun@1.4.5] [Deno@2.9.6]
 *
 * All of them when none is named. On SQLite, unless TEST_DATABASES says otherwise. Programs are fetched once and kept.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { bun, newestNode, oldestNode, runtimes, type Runtime } from "../runtimes/runtimes.ts";

const ofNode = ["src/", "test/session/", "test/store/", "test/adapters/", "test/packaging/", "test/cli/"];

/** Frameworks whose builds need a newer Node, and compilers, whose answers are the same everywhere. */
const notOfNode = ["test/adapters/*-example.test.ts", "test/packaging/types.test.ts"];

/** What needs WebAssembly modules, or starts npm, whose own Node may refuse the options that 22.13 needs. */
const notOfOldest = [
  "test/cli/generate.test.ts",
  "test/cli/newcomer.test.ts",
  // better-sqlite3 13 crashes on Node before 22.14.
  "test/cli/import-auth.test.ts",
  "test/cli/import.test.ts",
];

/** What does not test Vitest, a bundler or Node's own flags and inspector. */
const ofOthers = [
  "src/codec/",
  "src/sealing/",
  "src/session/",
  "src/sql/",
  "src/batching/",
  "test/session/promises",
  "test/session/races.test",
  "test/session/revocation",
  "test/store/contract",
  "test/store/processes",
  "test/store/sqlite",
  "test/adapters/fetch.test",
  "test/adapters/hono.test",
  "test/adapters/node.test",
  "test/adapters/express.test",
  "test/adapters/failed-commit",
  "test/adapters/undeliverable",
  "test/cli/",
  "test/drivers/runtimes",
];

/** What starts npm, reads Node's own messages, or kills a child from Deno, which then reports the signal as its end. */
const notOfOthers = [
  "generate", // Prisma's schema engine in WebAssembly, which Bun does not load
  "configuration",
  "interrupt",
  "newcomer",
  "audit-tail",
  "dashboard",
  "import-redis", // Node's variable for further certificate authorities
  "import-ndjson", // an export with mongodb, of a folder without packages
  "import-session-files", // session-file-store itself does not start on Deno
].map((suite) => `test/cli/${suite}.test.ts`);

/** The drivers that only Bun has, on their databases: contract, races, failures and what they support. */
const ofBun = ["contract", "races", "failures", "late-transactions", "supports"].map(
  (suite) => `test/drivers/${suite}.test.ts`,
);

const nameOf = ({ name, version }: Runtime): string => `${name}@${version}`;
const asked = process.argv.slice(2);
const known = runtimes.map(nameOf);
if (asked.some((each) => !known.includes(each))) {
  console.error(`usage: runtimes.ts [${known.join("] [")}]`);
  process.exit(2);
}

const root = join(import.meta.dirname, "../..");
const told: string[] = [];
for (const runtime of runtimes) {
  if (asked.length > 0 && !asked.includes(nameOf(runtime))) continue;
  const isNode = runtime === oldestNode || runtime === newestNode;
  const suites = isNode ? ofNode : ofOthers;
  const without = isNode ? [...notOfNode, ...(runtime === oldestNode ? notOfOldest : [])] : notOfOthers;
  const files = [...suites, ...without.flatMap((each) => ["--exclude", each])];
  told.push(`${await run(runtime, files, "sqlite")} on ${nameOf(runtime)}`);
  if (runtime !== bun) continue;
  const named = ["--testNamePattern", "^(Bun's SQL|bun:sqlite)"];
  told.push(`${await run(runtime, [...ofBun, ...named], "sqlite,postgres")} with the drivers of Bun`);
}

async function run(runtime: Runtime, words: readonly string[], databases: string): Promise<string> {
  const args = [...runtime.options, join(root, "node_modules/vitest/vitest.mjs"), "run", ...words];
  // Bun's child processes lack what Vitest asks of them.
  if (runtime === bun) args.push("--pool", "threads");
  const env = { TEST_DATABASES: databases, ...process.env, ...runtime.env };
  const child = spawn(await runtime.program(), args, { cwd: root, env, stdio: "inherit" });
  const [code] = await once(child, "exit");
  return code === 0 ? "passed" : "FAILED";
}

console.log(`\n${told.join("\n")}`);
process.exitCode = told.some((line) => line.startsWith("FAILED")) ? 1 : 0;

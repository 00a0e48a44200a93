import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { asInDocs, transcriptIn } from "./transcript.ts";

const root = new URL("../..", import.meta.url).pathname;
let work: string;
let shop: string;

/** Builds and packs the package, and installs it into an empty folder with what it depends on. */
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "stored-session-newcomer-"));
  const source = join(work, "source");
  mkdirSync(source);
  for (const name of ["package.json", "LICENSE"]) cpSync(join(root, name), join(source, name));
  try {
    execFileSync(process.execPath, [
      join(root, "node_modules/typescript/bin/tsc"),
      "-p",
      join(root, "tsconfig.build.json"),
      "--outDir",
      join(source, "dist"),
    ]);
  } catch (error) {
    // What does not type-check is the business of `npm run check`; it is emitted all the same.
    if (!String((error as { stdout?: Buffer }).stdout).includes("error TS")) throw error;
  }
  execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", work], { cwd: source });
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

  shop = join(work, "shop");
  const installed = join(shop, "node_modules/stored-session");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", [
    "-xzf",
    join(work, `stored-session-${version}.tgz`),
    "-C",
    installed,
    "--strip-components=1",
  ]);
  mkdirSync(join(shop, "node_modules/@msgpack"));
  for (const name of ["commander", "cookie", "express"]) {
    symlinkSync(join(root, "node_modules", name), join(shop, "node_modules", name));
  }
  mkdirSync(join(shop, "node_modules/.bin"));
  chmodSync(join(installed, "dist/cli/main.js"), 0o755);
  symlinkSync("../stored-session/dist/cli/main.js", join(shop, "node_modules/.bin/stored-session"));
}, 120_000);
afterAll(() => rmSync(work, { recursive: true, force: true }));

const app = `import express from "express";
import { createSessionManager } from "stored-session";
import { session } from "stored-session/express";
import options from "./stored-session.config.mjs";

const sessions = createSessionManager(options);
const app = express();
app.use(session(sessions));
app.get("/login", (req, res) => {
  req.session.login("42");
  req.session.data.cart = [{ sku: "tea", at: new Date() }];
  res.send("Welcome");
});
app.get("/", (req, res) => res.send(req.session.user ?? "nobody"));
const server = app.listen(0, () => console.log(server.address().port));
process.on("SIGTERM", () => server.close(() => sessions.close()));
`;

async function run(line: string): Promise<{ text: string; code: number }> {
  const [command = "", ...args] = line.split(" ");
  const env = { PATH: process.env["PATH"], HOME: work, NO_UPDATE_NOTIFIER: "1", npm_config_offline: "true" };
  return new Promise((resolve) => {
    execFile(command, args, { cwd: shop, env }, (error, out, err) => {
      const said = err
        .split("\n")
        .filter((text) => !text.startsWith("npm "))
        .join("\n");
      resolve({ text: out + said, code: error === null ? 0 : Number(error.code) });
    });
  });
}

test("the packed tarball in an empty project: init, migrate, an app, list, revoke, expire → each works", async () => {
  const lines: string[] = [];
  const step = async (line: string, code = 0): Promise<string> => {
    const answer = await run(line);
    assert.equal(answer.code, code, answer.text);
    lines.push(`$ ${line}`, ...answer.text.trimEnd().split("\n"), "");
    return answer.text;
  };

  await step("npx stored-session init");
  await step("npx stored-session migrate");
  await step("npx stored-session check");

  writeFileSync(join(shop, "app.mjs"), app);
  const server = spawn(process.execPath, ["--env-file=.env", "app.mjs"], {
    cwd: shop,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const port = await new Promise<string>((resolve) =>
      createInterface({ input: server.stdout }).once("line", resolve),
    );
    const url = `http://localhost:${port}`;
    const visit = async (path: string, cookie?: string) => {
      const response = await fetch(url + path, {
        headers: { "user-agent": "Firefox", ...(cookie && { cookie }) },
      });
      return { text: await response.text(), cookie: response.headers.get("set-cookie")?.split(";")[0] };
    };
    const { cookie } = await visit("/login");
    assert.ok(cookie);
    assert.equal((await visit("/", cookie)).text, "42");
    lines.push("$ node --env-file=.env app.mjs &", "");

    await step("npx stored-session list --user 42");
    const { sessions } = JSON.parse((await run("npx stored-session list --json")).text) as {
      sessions: { handle: string }[];
    };
    await step(`npx stored-session show ${sessions[0]!.handle} --reveal`);
    await step(`npx stored-session revoke ${sessions[0]!.handle}`);
    assert.equal(
      (await visit("/", cookie)).text,
      "nobody",
      "R44 the running server sees it at the next request",
    );
    await step("npx stored-session count");
    // The configuration that init wrote names one file, from wherever it is read.
    const elsewhere = [
      "shop/node_modules/.bin/stored-session",
      "count",
      "-c",
      "shop/stored-session.config.mjs",
    ];
    assert.equal(
      execFileSync(process.execPath, elsewhere, { cwd: work, encoding: "utf8" }),
      "0 live sessions\n",
    );
    await step("npx stored-session expire");
    await step("npx stored-session revoke --user 42");
    await step("npx stored-session lsit", 2);
  } finally {
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGTERM");
    await gone;
  }

  const transcript = asInDocs(lines, shop);
  const docs = join(root, "docs/cli.md");
  const before = readFileSync(docs, "utf8");
  const [old, after] = transcriptIn(before, transcript);
  if (process.env["UPDATE_TRANSCRIPT"]) writeFileSync(docs, after);
  else assert.equal(transcript, old, "docs/cli.md: run this test with UPDATE_TRANSCRIPT=1");
}, 120_000);

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { Visitor } from "../../src/testing/adapter-world.ts";
import { root, startExample, type RunningExample } from "./example-process.ts";
import { walkThrough } from "./example-walk.ts";
import { buildNext, formOf } from "./next-server.ts";

const folder = join(root, "examples/next");
let example: RunningExample;
let printed: string;

beforeAll(async () => {
  printed = buildNext(folder, [], { DATABASE: "/nowhere/sessions.sqlite3" });
  const next = join(root, "node_modules/next/dist/bin/next");
  example = await startExample("next", [next, "start", "-p", "0", "-H", "localhost"], {
    NODE_ENV: "production",
    NEXT_TELEMETRY_DISABLED: "1",
  });
}, 180_000);

afterAll(() => example?.stop());

test("Next.js: the example is built without keys and without a database → it prerenders, and opens nothing", () => {
  assert.match(printed, /Cache Components enabled/);
  assert.match(printed, /○ \/about/);
  assert.match(printed, /◐ \//);
  assert.ok(!existsSync(join(folder, "sessions.sqlite3")));
});

walkThrough("Next.js", () => example, {
  addPath: "/api/cart",
  async submit(visitor, deed, fields) {
    const { body } = await visitor.get("/");
    const data = formOf(body, deed);
    for (const [name, value] of Object.entries(fields)) data.set(name, value);
    return visitor.get("/", { method: "POST", body: data, headers: { origin: example.url } });
  },
});

test("Next.js: proxy → counts visits, protects a page, and its cookie is in no cache", async () => {
  const visitor = new Visitor(example.url);
  const first = await visitor.get("/");
  assert.match(first.body, /Visits: 1\./);
  assert.equal(first.headers.get("cache-control"), "no-store");
  assert.match((await visitor.get("/")).body, /Visits: 2\./);
  const account = await visitor.get("/account");
  assert.deepEqual([account.status, account.headers.get("location")], [303, "/"]);
  const about = await new Visitor(example.url).get("/about");
  assert.match(about.headers.get("cache-control")!, /s-maxage/);
  assert.deepEqual(about.setCookies, []);
});

test("Next.js: everything that the example printed → no error apart from the store that was down", () => {
  const errors = example.printed().match(/^.*(?:STORED_SESSION_|Error).*$/gm) ?? [];
  const details = /\[cause\]: Error: no such table: stored_sessions|code: 'ERR_/;
  const kinds = errors.filter((line) => !details.test(line)).map((line) => line.replace(/:.*/, ""));
  // Once, for the one request while the table was away: a request before migrate() would add another.
  assert.deepEqual(kinds, ["Error [NotMigratedError]"], example.printed());
});

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, test } from "vitest";
import { Visitor } from "../../src/testing/adapter-world.ts";
import { root, startExample, type RunningExample } from "./example-process.ts";
import { walkThrough } from "./example-walk.ts";
import { buildSvelteKit } from "./sveltekit-server.ts";

const folder = join(root, "examples/sveltekit");
const production = { NODE_ENV: "production" };
let example: RunningExample;

beforeAll(async () => {
  buildSvelteKit(folder);
  example = await startExample("sveltekit", ["server.js"], production);
}, 180_000);

afterAll(() => example?.stop());

test("SvelteKit: the example is built without keys and without a database → it prerenders, and opens nothing", async () => {
  assert.ok(!existsSync(join(folder, "sessions.sqlite3")));
  const about = await new Visitor(example.url).get("/about");
  assert.equal(about.status, 200);
  assert.match(about.body, /made when the application was built/);
  assert.deepEqual(about.setCookies, []);
});

walkThrough("SvelteKit", () => example, {
  addPath: "/?/add",
  submit: (visitor, deed, fields) =>
    visitor.get(`/?/${deed}`, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: { origin: example.url, accept: "text/html" },
    }),
});

test("SvelteKit: ADDRESS_HEADER set → a session keeps the address, and a request without the header is served", async () => {
  const proxied = await startExample("sveltekit", ["server.js"], {
    ...production,
    ADDRESS_HEADER: "x-real-ip",
  });
  try {
    assert.equal((await new Visitor(proxied.url).get("/health")).status, 200);
    assert.equal((await new Visitor(proxied.url).get("/")).status, 200);
    const visit = await new Visitor(proxied.url).get("/", { headers: { "x-real-ip": "10.0.0.9" } });
    assert.equal(visit.setCookies.length, 1);
    const database = new DatabaseSync(proxied.database);
    const rows = database.prepare("SELECT length(client) AS length FROM stored_sessions").all();
    assert.ok(rows.every(({ length }) => Number(length) > 0));
    database.close();
  } finally {
    await proxied.stop();
  }
});

test("SvelteKit: everything that the example printed → no error apart from the store that was down", () => {
  const errors = example.printed().match(/^(?:\w*Error|\(node:.*).*$/gm) ?? [];
  assert.deepEqual(
    errors.map((line) => line.replace(/[ :].*/, "")),
    ["NotMigratedError"],
    example.printed(),
  );
});

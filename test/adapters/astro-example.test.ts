import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { freePort } from "../../scripts/services/processes.ts";
import { Visitor } from "../../src/testing/adapter-world.ts";
import { buildAstro } from "./astro-server.ts";
import { root, startExample, type RunningExample } from "./example-process.ts";
import { walkThrough } from "./example-walk.ts";

const folder = join(root, "examples/astro");
let example: RunningExample;

beforeAll(async () => {
  buildAstro(folder);
  example = await startExample("astro", ["dist/server/entry.mjs"], {
    NODE_ENV: "production",
    HOST: "localhost",
    PORT: String(await freePort()),
  });
}, 180_000);

afterAll(() => example?.stop());

test("Astro: the example is built without keys and without a database → it prerenders, and opens nothing", async () => {
  assert.ok(!existsSync(join(folder, "sessions.sqlite3")));
  const about = await new Visitor(example.url).get("/about");
  assert.equal(about.status, 200);
  assert.match(about.body, /made when the application was built/);
  assert.deepEqual(about.setCookies, []);
});

walkThrough("Astro", () => example, {
  addPath: "/?_action=add",
  submit: (visitor, deed, fields) =>
    visitor.get(deed === "login" || deed === "add" ? `/?_action=${deed}` : `/${deed}`, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: { origin: example.url },
    }),
});

test("Astro: everything that the example printed → no error apart from the store that was down", () => {
  const errors = example.printed().match(/^(?:\w*Error|\(node:.*).*$/gm) ?? [];
  assert.deepEqual(
    errors.map((line) => line.replace(/[ :].*/, "")),
    ["NotMigratedError"],
    example.printed(),
  );
});

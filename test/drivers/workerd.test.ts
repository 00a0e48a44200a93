/** D1 and Durable Objects inside workerd, the runtime of Cloudflare Workers. */
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { afterAll, describe, expect, inject, test } from "vitest";
import { chosenDatabases } from "../servers/chosen.ts";

/** `npm run test:soak` runs 2,000. */
const rounds = Number(process.env["TEST_ROUNDS"] ?? 25);
/** Seeds of one request: at most 400, because each makes managers with a timer each, and workerd allows a request 10,000. */
const seeds = Math.ceil(rounds / Math.ceil(rounds / 400));

const runs = chosenDatabases().includes("sqlite");
const postgres = chosenDatabases().includes("postgres");
const miniflare = runs ? await start() : null;
afterAll(() => miniflare?.dispose());

async function start(): Promise<Miniflare> {
  const here = import.meta.dirname;
  const { outputFiles } = await build({
    entryPoints: [`${here}/workerd/worker.ts`],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    external: ["node:*", "cloudflare:*", "pg-native", "better-sqlite3"],
    alias: { vitest: `${here}/workerd/runner.ts` },
    conditions: ["workerd"],
    // As Wrangler does for packages that require Node's modules.
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire("file:///worker.mjs");',
    },
    logLevel: "error",
    ignoreAnnotations: true,
  });
  return new Miniflare({
    modules: [{ type: "ESModule", path: "worker.mjs", contents: outputFiles[0]!.text }],
    compatibilityDate: "2026-07-01",
    compatibilityFlags: ["nodejs_compat"],
    d1Databases: { DB: "sessions" },
    durableObjects: { HOLDER: { className: "Holder", useSQLite: true } },
    ...(postgres && { hyperdrives: { HYPERDRIVE: inject("servers").postgres! } }),
  });
}

async function ask(
  path: string,
  options: object = {},
): Promise<{ status: number; text: string; cookie: string | null }> {
  const response = await miniflare!.dispatchFetch(`http://localhost${path}`, options);
  const cookie = response.headers.get("set-cookie");
  return { status: response.status, text: await response.text(), cookie: cookie?.split(";")[0] ?? null };
}

for (const [name, path] of runs
  ? ([
      ["D1", "/d1"],
      ["Durable Object", "/object"],
    ] as const)
  : []) {
  const names = JSON.parse((await ask(path)).text) as { contract: string[]; races: string[] };
  describe(`${name} in workerd`, () => {
    test.each(names.contract.map((title, nth) => [title, nth] as const))(
      "%s",
      { timeout: 120_000 },
      async (_, nth) => {
        const { text } = await ask(`${path}?test=${nth}&first=1&count=0`);
        expect(text).toBe("passed");
      },
    );
    test.each(names.races.map((title, nth) => [title, names.contract.length + nth] as const))(
      "%s",
      { timeout: Math.max(120_000, rounds * 600) },
      async (_, nth) => {
        for (let first = 1; first <= rounds; first += seeds) {
          const count = Math.min(seeds, rounds + 1 - first);
          const { text } = await ask(`${path}?test=${nth}&first=${first}&count=${count}`);
          expect(text).toBe("passed");
        }
      },
    );
  });
}

describe.runIf(runs)("an application on Workers, with a manager for each request", () => {
  test("several requests → the session lives on, and what is not awaited is done before the Worker ends", async () => {
    expect((await ask("/app/migrate")).text).toBe("migrated");
    const began = 1_700_000_000_000;
    const at = (now: number, cookie: string | null) => ({
      headers: { "x-now": String(now), ...(cookie && { cookie }) },
    });
    const first = await ask("/app", { method: "POST", ...at(began, null) });
    expect(first.cookie).not.toBeNull();
    expect(
      JSON.parse((await ask("/app", { method: "POST", ...at(began + 1, first.cookie) })).text),
    ).toMatchObject({ views: 2 });
    const day = 86_400_000;
    const before = JSON.parse((await ask("/app", at(began + day, first.cookie))).text) as {
      expiresAt: string;
    };
    await expect
      .poll(async () => {
        const { text } = await ask("/app", at(began + day + 1, first.cookie));
        return (JSON.parse(text) as { views: number }).views;
      })
      .toBe(2);
    expect(before).toBeDefined();
  });

  test.runIf(postgres).each(["pg", "postgres.js"])(
    "Hyperdrive with %s → a store for each request works",
    async (driver) => {
      expect((await ask(`/hyperdrive?driver=${driver}&step=migrate`)).text).toBe("migrated");
      const first = await ask(`/hyperdrive?driver=${driver}`, { method: "POST" });
      expect(first.text).toBe("1");
      for (const views of ["2", "3", "4"]) {
        const next = await ask(`/hyperdrive?driver=${driver}`, {
          method: "POST",
          headers: { cookie: first.cookie! },
        });
        expect(next.text).toBe(views);
      }
      expect((await ask(`/hyperdrive?driver=${driver}&step=drop`)).text).toBe("dropped");
    },
  );

  test("what needs node:sqlite, timers or connections that outlive a request → says so at startup", async () => {
    const [sqlite, schedule] = JSON.parse((await ask("/startup")).text) as string[];
    expect(sqlite).toMatch(/Cloudflare Workers have no node:sqlite.*d1Store/);
    expect(schedule).toMatch(/Cloudflare Workers.*scheduled\(\)/);
  });
});

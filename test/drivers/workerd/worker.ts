/** The contract and race suites, and an application, inside workerd: over D1 and in a Durable Object. */
import { DurableObject } from "cloudflare:workers";
import { createSessionManager } from "../../../src/index.ts";
import postgres from "postgres";
import { postgresStore } from "../../../src/sql/postgres/store.ts";
import { d1Store } from "../../../src/sql/sqlite/d1.ts";
import { durableObjectStore } from "../../../src/sql/sqlite/durable-object.ts";
import { storeContract } from "../../../src/testing/store-contract.ts";
import { raceSuite } from "../../session/race-suite.ts";
import { empty } from "../../session/empty.ts";
import { testKeys } from "../../session/doubles.ts";
import { collect, test, type Collected } from "./runner.ts";
import { write } from "../../../src/sql/statement.ts";
import type { SqlStore } from "../../../src/sql/sql-store.ts";

interface Environment {
  readonly DB: never;
  readonly HYPERDRIVE: { readonly connectionString: string };
  readonly HOLDER: {
    idFromName(name: string): never;
    get(id: never): { fetch(request: Request): Promise<Response> };
  };
}

/** Which interleavings a request runs. */
interface Seeds {
  readonly first: number;
  readonly count: number;
}

interface Suites {
  readonly contract: readonly Collected[];
  readonly races: readonly Collected[];
}

function seedsOf(request: Request): Seeds {
  const { searchParams } = new URL(request.url);
  return { first: Number(searchParams.get("first")), count: Number(searchParams.get("count")) };
}

/** A store on tables that are emptied by their rows. */
function suites(name: string, seeds: Seeds, open: () => SqlStore): Suites {
  const clean = async (): Promise<void> => {
    const store = open();
    await empty(store);
    await store.close();
  };
  const contract = collect(() =>
    storeContract(name, {
      test,
      maxRowBytes: 2_000_000,
      create: async () => {
        const store = open();
        await store.migrate();
        await empty(store);
        await store.database.run(write(`DELETE FROM ${store.database.dialect.names.leases}`));
        return store;
      },
      destroy: clean,
    }),
  );
  const races = collect(() =>
    raceSuite(
      name,
      async () => {
        const store = open();
        await store.migrate();
        return { store, drop: () => empty(store) };
      },
      seeds.count,
      {},
      undefined,
      seeds.first,
    ),
  );
  return { contract, races };
}

async function answer(request: Request, { contract, races }: Suites): Promise<Response> {
  const { searchParams } = new URL(request.url);
  const asked = searchParams.get("test");
  const namesOf = (tests: readonly Collected[]): string[] => tests.map(({ name }) => name);
  if (asked === null) return Response.json({ contract: namesOf(contract), races: namesOf(races) });
  try {
    await [...contract, ...races][Number(asked)]!.run();
    return new Response("passed");
  } catch (error) {
    return new Response(
      error instanceof Error ? `${error.stack}\n${String(error.cause ?? "")}` : String(error),
      {
        status: 500,
      },
    );
  }
}

export class Holder extends DurableObject<Environment> {
  readonly #storage: never;

  constructor(context: { storage: never }, environment: Environment) {
    super(context as never, environment);
    this.#storage = context.storage;
  }

  override fetch(request: Request): Promise<Response> {
    const open = () => durableObjectStore(this.#storage, { table: "sessions_in_object" });
    return answer(request, suites("Durable Object", seedsOf(request), open));
  }
}

/** An application whose manager lives as long as a request. */
async function application(
  request: Request,
  environment: Environment,
  context: { waitUntil(promise: Promise<unknown>): void },
): Promise<Response> {
  const now = Number(request.headers.get("x-now") ?? Date.now());
  const store = d1Store(environment.DB);
  const sessions = createSessionManager<{ views?: number }>({
    store,
    keys: testKeys,
    clock: () => now,
  });
  try {
    if (new URL(request.url).pathname === "/app/migrate") {
      await store.migrate();
      return new Response("migrated");
    }
    const session = await sessions.load(request.headers.get("cookie"));
    if (request.method === "POST") session.data.views = (session.data.views ?? 0) + 1;
    const cookie = await sessions.commit(session);
    const response = Response.json({ views: session.data.views ?? 0, expiresAt: session.expiresAt });
    if (cookie !== null) response.headers.append("set-cookie", cookie);
    return response;
  } finally {
    context.waitUntil(sessions.close());
  }
}

export default {
  async fetch(request: Request, environment: Environment, context: never): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/app")) return await application(request, environment, context);
    if (pathname === "/startup") return startup();
    if (pathname === "/hyperdrive") return await overHyperdrive(request, environment);
    if (pathname === "/object") {
      const { HOLDER } = environment;
      // Of its own for each test and range of seeds, because an object's timers count together.
      const { search } = new URL(request.url);
      return await HOLDER.get(HOLDER.idFromName(search)).fetch(request);
    }
    const open = () => d1Store(environment.DB, { table: "sessions_of_suite" });
    return await answer(request, suites("D1", seedsOf(request), open));
  },
};

/** A session in PostgreSQL behind Hyperdrive. The store, and what it connects with, lives as long as the request. */
async function overHyperdrive(request: Request, { HYPERDRIVE }: Environment): Promise<Response> {
  const { searchParams } = new URL(request.url);
  const driver = searchParams.get("driver")!;
  const url = HYPERDRIVE.connectionString;
  const sql = driver === "pg" ? null : postgres(url, { max: 2, fetch_types: false, onnotice: () => {} });
  const table = driver === "pg" ? "hyperdrive_pg" : "hyperdrive_js";
  const store = sql ? postgresStore(sql, { table }) : postgresStore(url, { table, poolSize: 2 });
  const sessions = createSessionManager<{ views?: number }>({ store, keys: testKeys });
  try {
    switch (searchParams.get("step")) {
      case "migrate":
        await store.migrate();
        return new Response("migrated");
      case "drop":
        for (const suffix of ["", "_leases", "_migrations"])
          await store.database.run(write(`DROP TABLE ${table}${suffix}`));
        return new Response("dropped");
    }
    const session = await sessions.load(request.headers.get("cookie"));
    session.data.views = (session.data.views ?? 0) + 1;
    const cookie = await sessions.commit(session);
    const response = new Response(String(session.data.views));
    if (cookie !== null) response.headers.append("set-cookie", cookie);
    return response;
  } catch (error) {
    return new Response(String((error as Error).stack) + String((error as Error).cause), { status: 500 });
  } finally {
    await sessions.close();
    await sql?.end({ timeout: 1 });
  }
}

/** What says at startup that Workers lack what it needs. */
async function startup(): Promise<Response> {
  const { sqliteStore } = await import("../../../src/sql/sqlite/store.ts");
  const said: string[] = [];
  const tell = (start: () => unknown): void => {
    try {
      start();
      said.push("");
    } catch (error) {
      said.push((error as Error).message);
    }
  };
  tell(() => sqliteStore("sessions.sqlite3"));
  tell(() =>
    createSessionManager({
      store: d1Store({ prepare() {}, batch() {} } as never),
      keys: testKeys,
    }).scheduleExpiry(),
  );
  return Response.json(said);
}

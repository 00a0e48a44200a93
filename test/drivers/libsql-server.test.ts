import { createClient } from "@libsql/client";
import { describe, expect, test } from "vitest";
import { libsqlStore } from "../../src/sql/sqlite/libsql.ts";
import { chosenDatabases } from "../servers/chosen.ts";
import { randomRow } from "../servers/rows.ts";
import { startSqld } from "./sqld.ts";

describe.runIf(chosenDatabases().includes("sqlite"))("libSQL's server", () => {
  test("it is killed and starts again → an outage (promise 8), nothing acknowledged is lost (promise 7), and the store works on", async () => {
    await using server = await startSqld();
    const client = createClient({ url: server.url });
    const store = libsqlStore(client);
    await store.migrate();
    const rows = Array.from({ length: 20 }, () => randomRow());
    expect(await store.insert(rows)).toEqual(rows.map(() => true));
    await server.kill();
    await expect(store.read([rows[0]!.id])).rejects.toMatchObject({ status: 503 });
    await expect(store.insert([randomRow()])).rejects.toMatchObject({ status: 503 });
    await server.restart();
    const found = await store.read(rows.map(({ id }) => id));
    expect(found.map((row) => row?.version)).toEqual(rows.map(({ version }) => version));
    expect(await store.insert([randomRow()])).toEqual([true]);
    client.close();
  });
});

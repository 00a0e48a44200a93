/** Races of a refresh with requests, forced between its read and its write. */
import { expect, test } from "vitest";
import { createSessionManager, generateKey, memoryStore, type SessionStore } from "../index.ts";
import type { SessionRow } from "../store/row.ts";
import { settingsOf } from "../manager.ts";
import { importedVersion, refreshImported } from "./imported.ts";
import { rowIdOf } from "./token.ts";

const now = 1_790_000_000_000;

type Meanwhile = (
  store: SessionStore,
  id: Uint8Array,
  seal: (row: SessionRow) => SessionRow,
) => Promise<unknown>;

async function imported(meanwhile: Meanwhile) {
  const store = memoryStore();
  const sessions = createSessionManager({ store, keys: generateKey(), clock: () => now });
  const settings = { ...settingsOf(sessions as never), findsUsers: true };
  const { format } = settings;
  const sid = Buffer.from("a session id of the other library");
  const id = rowIdOf(sid);
  const token = { text: "", sid, id, stale: false };
  const times = { createdAt: now, updatedAt: now, absoluteExpiresAt: now + 1_000, expiresAt: now + 1_000 };
  const bare = { id, version: importedVersion(id), userRef: null, ...times };
  const encoded = (cart: string) => format.encode({ data: { cart }, user: undefined, flash: {} }, null);
  await store.insert([{ ...bare, data: format.seal(encoded("tea"), bare, token), client: null }]);
  const read = store.read.bind(store);
  store.read = async (ids) => {
    const rows = await read(ids);
    store.read = read;
    await meanwhile(store, id, (row) => ({ ...row, data: format.seal(encoded("coffee"), row, token) }));
    return rows;
  };
  const session = {
    id,
    token,
    plaintext: encoded("honey"),
    userRef: null,
    expiresAt: now + 1_000,
    usedAt: null,
  };
  const [answer] = await refreshImported(settings, [session], false);
  const [row] = await store.read([id]);
  return { answer, cart: row && format.decode(format.open(row, token)).data["cart"] };
}

test("refresh: nothing meanwhile → the row has the new content", async () => {
  expect(await imported(async () => {})).toEqual({ answer: "refreshed", cart: "honey" });
});

test("refresh: the session ends between read and write → it stays ended (promise 3)", async () => {
  const ends: Meanwhile = (store, id) => store.delete([id]);
  expect(await imported(ends)).toEqual({ answer: "endedSince", cart: null });
});

test("refresh: the application saves between read and write → its save stays (promise 2)", async () => {
  const saves: Meanwhile = async (store, id, seal) => {
    const [loaded] = await store.read([id]);
    await store.update([{ loaded: loaded!, next: seal({ ...loaded!, version: loaded!.version + 1 }) }]);
  };
  expect(await imported(saves)).toEqual({ answer: "changedSince", cart: "coffee" });
});

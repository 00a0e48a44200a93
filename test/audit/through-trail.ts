/** A store whose every write is a change that the trail records, in one transaction with its event. */
import type { Trail } from "../../src/audit/trail.ts";
import type { Draft } from "../../src/audit/writer.ts";
import { changeOf, type ChangeResult, type RecordedChange } from "../../src/store/audit.ts";
import type { SessionStore } from "../../src/store/contract.ts";

/** @param trail over `store`, which ends with it */
export function throughTrail(store: SessionStore, trail: Trail): SessionStore {
  const audit = store.audit!;
  const underWay = new Set<Promise<unknown>>();
  const write = async (changes: readonly RecordedChange[]): Promise<readonly ChangeResult[]> => {
    const writing = trail.write(
      changes.map((change) => ({ change, whos: [], drafts: (result) => draftsOf(change, result) })),
    );
    underWay.add(writing);
    return await writing.finally(() => underWay.delete(writing));
  };
  const one = async (change: RecordedChange): Promise<ChangeResult> => (await write([change]))[0]!;
  const applied = (results: readonly ChangeResult[]): boolean[] => results.map((result) => result.applied);
  const recorded: Partial<SessionStore> = {
    insert: async (rows) => applied(await write(rows.map((row) => ({ kind: "insert", row })))),
    update: async (updates) => applied(await write(updates.map((update) => ({ kind: "update", ...update })))),
    replace: async (loaded, next) => (await one({ kind: "replace", loaded, next })).applied,
    delete: async (ids) => applied(await write(ids.map((id) => ({ kind: "delete", id })))),
    deleteByUser: async (userRefs, filter) =>
      (await one({ kind: "deleteByUser", userRefs, ...filter })).ended.length,
    login: (login) => one(changeOf(login)),
    async deleteExpired(query) {
      const { ids, ...rest } = await audit.findExpired(query);
      const { ended } = await one({ kind: "deleteExpired", ids, query });
      return { deleted: ended.length, ...rest };
    },
    async close() {
      await Promise.allSettled(underWay);
      await trail.close();
      await store.close();
    },
  };
  return new Proxy(store, {
    get(below, name) {
      const value: unknown = Reflect.get(name in recorded ? recorded : below, name);
      return typeof value === "function"
        ? (value.bind(name in recorded ? recorded : below) as unknown)
        : value;
    },
  });
}

/** One for each row that was written or deleted. */
function draftsOf(change: RecordedChange, { applied, ended }: ChangeResult): readonly Draft[] {
  const ends = ended.map(({ id }): Draft => ({ type: "session.revoked", session: id }));
  if (!applied) return ends;
  switch (change.kind) {
    case "insert":
      return [{ type: "login", session: change.row.id }, ...ends];
    case "update":
      return [{ type: "elevation", session: change.next.id }];
    case "replace":
      return [
        {
          type: "session.rotated",
          session: change.next.id,
          content: { previous: Buffer.from(change.loaded.id).toString("base64url") },
        },
        ...ends,
      ];
    case "delete":
      return [{ type: "logout", session: change.id }];
    default:
      return ends;
  }
}

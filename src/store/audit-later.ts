import type { AuditStore } from "./audit.ts";

/** Complete, or it does not compile. */
const methods: Readonly<Record<keyof AuditStore, true>> = {
  commit: true,
  ends: true,
  findExpired: true,
  events: true,
  find: true,
  heads: true,
  addSubjects: true,
  subjects: true,
  subjectsOf: true,
  scanSubjects: true,
  rewrap: true,
  eraseSubjects: true,
  checkpoints: true,
  lastCheckpoint: true,
  addCheckpoint: true,
  count: true,
  countChain: true,
  prunedCounts: true,
  deleteChain: true,
  deleteCheckpoints: true,
};

type Method = (...given: unknown[]) => Promise<unknown>;

/** An audit store whose code is loaded when it is used first. */
export function auditLater(load: () => Promise<AuditStore>): AuditStore {
  const forward = (name: keyof AuditStore): Method => {
    return async (...given) => {
      const store = await load();
      return await (store[name] as Method).call(store, ...given);
    };
  };
  const names = Object.keys(methods) as (keyof AuditStore)[];
  return Object.fromEntries(names.map((name) => [name, forward(name)])) as unknown as AuditStore;
}

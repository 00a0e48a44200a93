/** A trail over any store, with a clock of its own. */
import { randomBytes } from "node:crypto";
import { generateKey, KeyRing } from "../../src/sealing/keyring.ts";
import { Refusals } from "../../src/audit/refusals.ts";
import { Trail } from "../../src/audit/trail.ts";
import type { AuditOptions } from "../../src/audit/options.ts";
import type { Draft } from "../../src/audit/writer.ts";
import type { SessionStore } from "../../src/store/contract.ts";

export interface World {
  readonly keys: KeyRing;
  now: number;
  trail(store: SessionStore, options?: AuditOptions, keys?: KeyRing): Trail;
}

export function world(): World {
  const it: World = {
    keys: KeyRing.from(generateKey()),
    now: Date.UTC(2026, 10, 30, 12),
    trail(store, options = {}, keys = it.keys) {
      return new Trail({
        store: store.audit!,
        leases: store,
        keys,
        app: "",
        clock: () => it.now,
        timeout: 5_000,
        userRefs: (user) => keys.userRefs(user),
        options,
        refusals: new Refusals(),
        process: { host: "web-1", pid: "42" },
      });
    },
  };
  return it;
}

export function login(user: string): Draft {
  return {
    type: "login",
    session: new Uint8Array(randomBytes(32)),
    who: { user },
    content: { address: "203.0.113.9", userAgent: "Mozilla/5.0 (X11; Linux)", method: "password" },
  };
}

import type { KeyRing } from "../sealing/keyring.ts";
import type { AuditStore } from "../store/audit.ts";
import type { AuditOptions } from "./options.ts";
import type { Refusals } from "./refusals.ts";

export interface TrailSettings {
  readonly store: AuditStore;
  /** For the lease of checkpoints. */
  readonly leases: { lease(name: string, holder: string, until: number, now: number): Promise<boolean> };
  readonly keys: KeyRing;
  readonly app: string;
  readonly clock: () => number;
  readonly timeout: number;
  readonly userRefs: (user: string) => Uint8Array[];
  readonly options: AuditOptions;
  readonly process: Readonly<Record<string, string>>;
  readonly refusals: Refusals;
}

import { sameBytes } from "../shared/bytes.ts";
import type { Reader } from "./reader.ts";

/** The device that a session is bound to. Sealed with the session. */
export interface DeviceBinding {
  /** Names the binding to the browser. Random, 16 bytes; not secret. */
  readonly id: Uint8Array;
  /** The device's public key, DER-encoded SubjectPublicKeyInfo. */
  readonly key: Uint8Array;
  /** When the device was bound, in milliseconds since the epoch. */
  readonly at: number;
  /** How many proofs were accepted. A challenge names the count, so that it works once. */
  readonly proofs: number;
}

export const bindingIdBytes = 16;

export function isSameDevice(a: DeviceBinding | undefined, b: DeviceBinding | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.proofs === b.proofs && a.at === b.at && sameBytes(a.id, b.id) && sameBytes(a.key, b.key);
}

/** @throws {RefusedError} reason "decode" */
export function readDevice(reader: Reader, before: DeviceBinding | undefined): DeviceBinding {
  if (before !== undefined) throw reader.refusal("a key is duplicated");
  const { id, key, at, proofs, ...others } = reader.map();
  const isValid =
    id instanceof Uint8Array &&
    id.length === bindingIdBytes &&
    key instanceof Uint8Array &&
    key.length > 0 &&
    isCount(at) &&
    isCount(proofs) &&
    Object.keys(others).length === 0;
  if (!isValid) throw reader.refusal("the device binding is not valid");
  return { id, key, at, proofs };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

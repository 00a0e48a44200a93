import type { Content } from "../codec/codec.ts";
import type { DeviceBinding } from "../codec/device.ts";
import type { KeyRing } from "../sealing/keyring.ts";
import { publishDevice, type DevicePolicy, type EndedLogin, type Header } from "../session/device-policy.ts";
import type { Settings } from "../session/settings.ts";
import type { SessionRow } from "../store/row.ts";
import type { DeviceRefusal } from "../telemetry/device-refusals.ts";
import type { ResolvedDeviceBinding, UnboundLogin } from "./options.ts";
import { DeviceTags, purpose } from "./tags.ts";

/** Tolerated clock difference between servers in milliseconds. */
export const clockSkew = 60_000;

/**
 * How long after its registration a session is served without the device cookie, in milliseconds. Requests that the
 * browser sent before it received that cookie are still under way.
 */
const settling = 10_000;

/** Checks the device cookie of each request, and offers logins to be bound. */
export class Policy implements DevicePolicy {
  readonly options: ResolvedDeviceBinding;
  readonly tags: DeviceTags;
  readonly now: () => number;
  readonly path: string;

  constructor(options: ResolvedDeviceBinding, keys: KeyRing, now: () => number) {
    this.options = options;
    this.tags = new DeviceTags(keys);
    this.now = now;
    this.path = options.path;
  }

  refusal({ device, user }: Content, row: SessionRow, cookieHeader: string): DeviceRefusal | null {
    const now = this.now();
    if (device === undefined) {
      const { isRequired, gracePeriod } = this.options;
      return isRequired && user !== undefined && now >= row.createdAt + gracePeriod
        ? "device_required"
        : null;
    }
    if (Math.abs(now - device.at) < settling) return null; // a clock that was set back does not prolong it
    let refusal: DeviceRefusal = "device_cookie_missing";
    for (const value of this.options.cookie.read(cookieHeader)) {
      const until = this.tags.read(purpose.cookie, value, device.id);
      if (until !== null && now < until + clockSkew) return null;
      if (refusal !== "device_cookie_expired")
        refusal = until === null ? "device_cookie_invalid" : "device_cookie_expired";
    }
    return refusal;
  }

  clear(cookieHeader: string): readonly Header[] {
    const { cookie } = this.options;
    return cookie.read(cookieHeader).length === 0 ? [] : [["set-cookie", cookie.clear()]];
  }

  offer(row: SessionRow): readonly Header[] {
    publishDevice("offered", row.id);
    const challenge = this.tags.make(purpose.registration, this.now(), loginOf(row));
    const value = `(ES256 RS256);path="${this.options.path}";challenge="${challenge}"`;
    return [["secure-session-registration", value]];
  }

  ended(login: EndedLogin, session: unknown): void | Promise<void> {
    return this.options.onUnbound?.({ ...login, session: session as UnboundLogin["session"] });
  }

  /** The `Set-Cookie` value that proves the device from now on. */
  prove({ id }: DeviceBinding): string {
    const now = this.now();
    const expiresAt = now + this.options.cookieLifetime;
    return this.options.cookie.set(this.tags.make(purpose.cookie, expiresAt, id), { now, expiresAt });
  }
}

/** Names the login of a row: its time and user. A new id does not change it. */
export function loginOf({ createdAt, userRef }: SessionRow): Uint8Array {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(createdAt));
  return Buffer.concat(userRef === null ? [time] : [time, userRef]);
}

/** Only this file implements the policy. */
export function policyOf({ device }: Pick<Settings, "device">): Policy | null {
  return device as Policy | null;
}

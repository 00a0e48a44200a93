import type { Content } from "../codec/codec.ts";
import type { SessionRow } from "../store/row.ts";
import { channels, type DeviceEvent } from "../telemetry/channels.ts";
import type { DeviceRefusal } from "../telemetry/device-refusals.ts";
import { handleOf } from "./handle.ts";

export type Header = readonly [name: string, value: string];

/** What one request and its response have to do with a device. */
export interface DeviceDuties {
  /** Headers that the response owes. */
  headers: readonly Header[];
  /** Headers that delete the device cookie of the request. Empty if it has none. */
  clear: readonly Header[];
  /** The session of the request is bound to a device, which the request did not prove. */
  isUnproved: boolean;
}

/** A login that was ended, because the browser did not bind it to its device in time. */
export interface EndedLogin {
  readonly user: string;
  /** The handle of the session that was ended. */
  readonly handle: string;
  readonly loggedInAt: Date;
}

/** What loading and saving ask of device-bound sessions. device-binding/policy.ts implements it. */
export interface DevicePolicy {
  /** Of the endpoint, which the adapters answer. */
  readonly path: string;
  /** Why a request does not get this session; null if it does. */
  refusal(content: Content, row: SessionRow, cookieHeader: string): DeviceRefusal | null;
  /** Headers that delete the request's device cookie. Empty if it has none. */
  clear(cookieHeader: string): readonly Header[];
  /** Headers that ask the browser to bind the session of this row, in which a user has just logged in. */
  offer(row: SessionRow): readonly Header[];
  /**
   * Tells the application of a login that was ended.
   * @param session the anonymous session with which the request continues
   */
  ended(login: EndedLogin, session: unknown): void | Promise<void>;
}

/** @param id of the row */
export function publishDevice(outcome: DeviceEvent["outcome"], id: Uint8Array): void {
  if (channels.device.hasSubscribers)
    channels.device.publish({ handle: handleOf(id), outcome } satisfies DeviceEvent);
}

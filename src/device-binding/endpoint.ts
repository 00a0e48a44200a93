import type { AuditContent } from "../audit/events.ts";
import { bindingIdBytes, type DeviceBinding } from "../codec/device.ts";
import type { Content } from "../codec/codec.ts";
import { SessionBusyError } from "../errors.ts";
import { randomBytes } from "../sealing/random.ts";
import { publishDevice } from "../session/device-policy.ts";
import type { Records } from "../session/records.ts";
import { publishReason } from "../session/refusal.ts";
import type { DeviceRefusal } from "../telemetry/device-refusals.ts";
import {
  challengeRefusal,
  missingSubject,
  refreshSubject,
  registrationSubject,
  type Subject,
} from "./challenges.ts";
import { BoundSessions, type Visited } from "./bound-sessions.ts";
import { policyOf, type Policy } from "./policy.ts";
import { parseProof, type Proof } from "./proof.ts";
import { isSignedBy, publicKeyOf, thumbprintOf } from "./public-key.ts";
import { purpose } from "./tags.ts";

/** A request to the endpoint. */
export interface DeviceRequest {
  readonly method: string;
  /** @param name in lower case */
  header(name: string): string | null | undefined;
}

/** What the endpoint answers. */
export interface DeviceAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Attempts to write a session that other requests keep changing. */
const mostAttempts = 50;

/**
 * Answers a request to the endpoint of device-bound sessions: a browser registers its key, or proves it again
 * (w3c/webappsec-dbsc).
 * @throws {StoreError} the store is unavailable, or other requests kept changing the session: browsers try again
 */
export async function answerDevice(records: Records, request: DeviceRequest): Promise<DeviceAnswer> {
  if (request.method !== "POST") return answer(405, { error: "method_not_allowed" }, { allow: "POST" });
  const endpoint = new Endpoint(records, request);
  const id = stringField(request.header("sec-secure-session-id"));
  return id === null ? endpoint.register() : endpoint.refresh(id);
}

class Endpoint {
  readonly #records: Records;
  readonly #policy: Policy;
  readonly #sessions: BoundSessions;
  readonly #cookies: string;
  readonly #proof: string | null;
  readonly #userAgent: string | undefined;

  constructor(records: Records, request: DeviceRequest) {
    this.#records = records;
    this.#policy = policyOf(records.settings)!;
    this.#sessions = new BoundSessions(records);
    this.#cookies = request.header("cookie") ?? "";
    this.#proof = stringField(request.header("secure-session-response"));
    this.#userAgent = request.header("user-agent") ?? undefined;
  }

  async register(): Promise<DeviceAnswer> {
    const visited = await this.#sessions.find(this.#cookies);
    if (visited === null) return this.#refuse(null, "device_session_unknown", 401);
    const proof = parseProof(this.#proof ?? "");
    if (typeof proof === "string") return this.#refuse(visited, proof);
    const late = challengeRefusal(this.#policy, proof.challenge, registrationSubject(visited.row));
    if (late !== null) return this.#refuse(visited, late);
    const key = publicKeyOf(proof.jwk);
    if (key === null) return this.#refuse(visited, "device_proof_key");
    const refusal = signatureRefusal(proof, key);
    if (refusal !== null) return this.#refuse(visited, refusal);
    const at = this.#records.now();
    const binding = { id: randomBytes(bindingIdBytes), key, at, proofs: 0 };
    return this.#bind(visited, binding, "bound", ({ user, device }) => {
      if (user === undefined) return "device_challenge_invalid";
      return device === undefined ? null : "device_already_bound";
    });
  }

  async refresh(id: string): Promise<DeviceAnswer> {
    if (!/^[\w-]{22}$/.test(id)) return this.#refuse(null, "device_session_mismatch");
    const visited = await this.#sessions.find(this.#cookies);
    if (visited === null) return this.#missing(id);
    const { device } = visited.content;
    if (device === undefined || nameOf(device) !== id) {
      publishReason(visited.row.id, "device_session_mismatch", this.#records.settings);
      return answer(200, { session_identifier: id, continue: false });
    }
    const subject = refreshSubject(device.id, device.proofs);
    if (this.#proof === null) return this.#challenge(id, subject);
    const proof = parseProof(this.#proof);
    if (typeof proof === "string") return this.#refuse(visited, proof);
    if (proof.subject !== undefined && proof.subject !== id)
      return this.#refuse(visited, "device_session_mismatch");
    const late = challengeRefusal(this.#policy, proof.challenge, subject);
    if (late !== null) return this.#again(visited, late, id, subject);
    const refusal = signatureRefusal(proof, device.key);
    if (refusal !== null) return this.#refuse(visited, refusal);
    const next = { ...device, proofs: device.proofs + 1 };
    return this.#bind(visited, next, "refreshed", ({ device: stored }) => {
      if (stored === undefined || nameOf(stored) !== id) return "device_session_mismatch";
      return stored.proofs === device.proofs ? null : "device_challenge_used";
    });
  }

  /**
   * The answer to a refresh whose cookie has no session. Another request may have given the session a new id, and the
   * browser may not have had the new cookie when it sent this one. So it signs once more, and sends its cookies of then.
   */
  #missing(id: string): DeviceAnswer {
    const subject = missingSubject(Buffer.from(id, "base64url"));
    if (this.#sessions.hasToken(this.#cookies) && !this.#answers(subject))
      return this.#challenge(id, subject);
    publishReason(null, "device_session_unknown", this.#records.settings);
    return answer(200, { session_identifier: id, continue: false });
  }

  /** Whether the proof answers a challenge of this subject, of any age. There is no key to verify it with. */
  #answers({ of, subject }: Subject): boolean {
    const proof = parseProof(this.#proof ?? "");
    return typeof proof !== "string" && this.#policy.tags.read(of, proof.challenge, subject) !== null;
  }

  /**
   * Writes the binding into the row, unless what the row holds by then forbids it: of two requests with the same challenge,
   * only one writes.
   */
  async #bind(
    found: Visited,
    device: DeviceBinding,
    outcome: "bound" | "refreshed",
    forbids: (content: Content) => DeviceRefusal | null,
  ): Promise<DeviceAnswer> {
    let visited: Visited | null = found;
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
      if (visited === null && outcome === "refreshed") return this.#missing(nameOf(device));
      const refusal: DeviceRefusal | null =
        visited === null ? "device_session_unknown" : forbids(visited.content);
      if (visited === null || refusal !== null) {
        if (refusal !== "device_challenge_used") return this.#refuse(visited, refusal!, 409);
        const { id, proofs } = visited!.content.device!;
        return this.#again(visited!, refusal, nameOf(device), refreshSubject(id, proofs));
      }
      const event = outcome === "bound" ? this.#eventOf(device) : null;
      if (await this.#sessions.write(visited, device, event)) {
        publishDevice(outcome, visited.row.id);
        return this.#proved(device);
      }
      visited = await this.#sessions.find(this.#cookies);
    }
    throw new SessionBusyError(
      "Other requests kept changing the session while its device was bound. The browser tries again.",
    );
  }

  #eventOf({ id, key }: DeviceBinding): AuditContent {
    const details = { thumbprint: thumbprintOf(key), binding: Buffer.from(id).toString("base64url") };
    return { userAgent: this.#userAgent, details };
  }

  /** Instructions for the browser, and the cookie that proves the device. */
  #proved(device: DeviceBinding): DeviceAnswer {
    const { path, cookie } = this.#policy.options;
    const setCookie = this.#policy.prove(device);
    const attributes = setCookie
      .split("; ")
      .slice(1)
      .filter((attribute) => !attribute.startsWith("Max-Age="));
    const instructions = {
      session_identifier: nameOf(device),
      refresh_url: path,
      scope: { include_site: false, scope_specification: [] },
      credentials: [{ type: "cookie", name: cookie.name, attributes: attributes.join("; ") }],
    };
    return answer(200, instructions, { "set-cookie": setCookie });
  }

  #challenge(id: string, { subject }: Subject, reason?: DeviceRefusal): DeviceAnswer {
    const challenge = this.#policy.tags.make(purpose.refresh, this.#records.now(), subject);
    return answer(
      403,
      { error: "challenge", reason },
      { "secure-session-challenge": `"${challenge}";id="${id}"` },
    );
  }

  /** Refuses an outdated challenge: the browser signs the next one. */
  #again({ row }: Visited, reason: DeviceRefusal, id: string, subject: Subject): DeviceAnswer {
    publishReason(row.id, reason, this.#records.settings);
    return this.#challenge(id, subject, reason);
  }

  #refuse(visited: Visited | null, reason: DeviceRefusal, status = 400): DeviceAnswer {
    publishReason(visited?.row.id ?? null, reason, this.#records.settings);
    return answer(status, { error: reason });
  }
}

/** How the browser knows the binding. */
function nameOf({ id }: DeviceBinding): string {
  return Buffer.from(id).toString("base64url");
}

function signatureRefusal(proof: Proof, key: Uint8Array): DeviceRefusal | null {
  const isSigned = isSignedBy(key, proof.algorithm, proof.message, proof.signature);
  if (isSigned === null) return "device_proof_algorithm";
  return isSigned ? null : "device_proof_signature";
}

function answer(status: number, body: object, headers: Readonly<Record<string, string>> = {}): DeviceAnswer {
  return {
    status,
    headers: {
      "content-type": "application/json; charset=utf-8",
      "cache-control": "no-store",
      "cross-origin-resource-policy": "same-origin",
      "x-content-type-options": "nosniff",
      ...headers,
    },
    body: JSON.stringify(body),
  };
}

/** The text of a header that is a string of structured fields (RFC 9651), with or without its quotes. */
function stringField(value: string | null | undefined): string | null {
  if (value === null || value === undefined) return null;
  return /^"([^"\\]*)"(?:;.*)?$/s.exec(value)?.[1] ?? value;
}

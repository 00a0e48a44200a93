/** Why a request to a device-bound session, or a proof of a device, was refused. */
export type DeviceRefusal =
  /** the session is bound, and the request has no device cookie */
  | "device_cookie_missing"
  /** the device cookie has expired */
  | "device_cookie_expired"
  /** the device cookie is malformed, forged, or of another binding */
  | "device_cookie_invalid"
  /** mode "require": the login was not bound within `gracePeriod`, so it was ended */
  | "device_required"
  /** the endpoint found no live session for the cookies of the request */
  | "device_session_unknown"
  /** the request names another binding than the one of its session */
  | "device_session_mismatch"
  /** the session is bound already */
  | "device_already_bound"
  /** the proof is longer than 8,192 characters */
  | "device_proof_too_large"
  /** the proof is not a JWT of the type `dbsc+jwt` in canonical form */
  | "device_proof_malformed"
  /** the proof's algorithm is not ES256 or RS256, or not that of the key */
  | "device_proof_algorithm"
  /** a registration without a P-256 or RSA public key */
  | "device_proof_key"
  /** the key did not make the signature */
  | "device_proof_signature"
  /** the challenge is not one of ours, or of another session or purpose */
  | "device_challenge_invalid"
  /** the challenge is older than 5 minutes */
  | "device_challenge_expired"
  /** the challenge was used before, or a parallel refresh was faster */
  | "device_challenge_used";

/** Whether a refusal is about a device. Clients can cause any number of these. */
export function isOfDevice({ reason }: { readonly reason: string }): boolean {
  return reason.startsWith("device_");
}

/** Vectors of docs/formats.md, opened and computed here by code of its own, from the layout alone. */
import assert from "node:assert/strict";
import { createDecipheriv, createHash, createHmac, createPrivateKey, hkdfSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { Decoder } from "@msgpack/msgpack";
import { test } from "vitest";
import { hashOf, macOf } from "../../src/audit/chain.ts";
import { decodeCheckpoint, isSigned, readPublicKeys } from "../../src/audit/checkpoint.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import type { AuditRow } from "../../src/store/audit.ts";

const file = new URL("../vectors/audit-vectors.json", import.meta.url);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

interface Vectors {
  master: string;
  app: string;
  user: string;
  subject: { id: string; userRef: string; wrapped: string };
  event: Record<string, string | number> & { content: Record<string, string> };
  checkpoint: Record<string, string | number>;
  publicKey: string;
}

const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;

const L = (name: string): Buffer => Buffer.from(`stored-session/v1/${name}\0`);
const raw = Buffer.from(vectors.master.slice(5), "base64url");
const K = Buffer.from(hkdfSync("sha512", raw, "stored-session/v1", L("audit"), 32));
const kid = Buffer.from(hkdfSync("sha512", raw, "stored-session/v1", L("kid"), 4));
const hmac = (algorithm: string, key: Uint8Array, ...parts: Uint8Array[]): Buffer =>
  createHmac(algorithm, key).update(Buffer.concat(parts)).digest();
const sha = (...parts: Uint8Array[]): Buffer => createHash("sha256").update(Buffer.concat(parts)).digest();

function opened(secret: Uint8Array, context: Uint8Array, sealed: Uint8Array): Record<string, unknown> {
  const okm = hmac("sha512", secret, context, sealed.subarray(0, 21), Uint8Array.of(1));
  assert.equal(hex(okm.subarray(32, 48)), hex(sealed.subarray(21, 37)));
  const cipher = createDecipheriv("aes-256-gcm", okm.subarray(0, 32), Buffer.alloc(12), {
    authTagLength: 16,
  });
  cipher.setAAD(context);
  cipher.setAuthTag(sealed.subarray(sealed.length - 16));
  const plaintext = Buffer.concat([cipher.update(sealed.subarray(37, sealed.length - 16)), cipher.final()]);
  return new Decoder().decode(plaintext) as Record<string, unknown>;
}

test("vectors: sealed keys and content → open by the layout of docs/formats.md", () => {
  const [id, userRef] = [unhex(vectors.subject.id), unhex(vectors.subject.userRef)];
  const wrapped = unhex(vectors.subject.wrapped);
  assert.equal(hex(wrapped.subarray(1, 5)), hex(kid));
  const secret = hmac("sha256", K, L("audit-subject"));
  const app = sha(Buffer.from(vectors.app)).subarray(0, 16);
  const key = opened(secret, Buffer.concat([L("audit-subject"), app, id, userRef]), wrapped);
  assert.equal(key["u"], vectors.user);
  const position = unhex(vectors.event["position"] as string);
  const context = Buffer.concat([L("audit-event"), position, id]);
  const content = opened(key["k"] as Uint8Array, context, unhex(vectors.event["body"] as string));
  assert.deepEqual(content, vectors.event.content);
});

test("vectors: hash and mac of an event → those of the layout, and those of the code", () => {
  const { event, subject } = vectors;
  const body = unhex(event["body"] as string);
  const numbers = Buffer.alloc(24);
  numbers.writeBigInt64BE(BigInt(event["at"]!), 0);
  for (const [index, name] of ["event", "outcome", "device", "amount"].entries())
    numbers.writeInt32BE(event[name] as number, 8 + 4 * index);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const one = Uint8Array.of(1);
  const digest = sha(
    L("audit-columns"),
    unhex(event["position"] as string),
    numbers,
    one,
    unhex(event["session"] as string),
    one,
    unhex(subject.id),
    length,
    body,
  );
  const hash = sha(L("audit"), Buffer.alloc(32), digest);
  assert.equal(hex(hash), event["hash"]);
  assert.equal(hex(hmac("sha256", K, L("audit-mac"), hash, digest).subarray(0, 16)), event["mac"]);
  const row: AuditRow = {
    position: unhex(event["position"] as string),
    at: Number(event["at"]),
    event: Number(event["event"]),
    outcome: Number(event["outcome"]),
    device: Number(event["device"]),
    amount: Number(event["amount"]),
    session: unhex(event["session"] as string),
    subject: unhex(subject.id),
    body,
    hash: new Uint8Array(hash),
    mac: unhex(event["mac"] as string),
  };
  assert.equal(hex(hashOf(new Uint8Array(32), row)), event["hash"]);
  assert.equal(hex(macOf(KeyRing.from(vectors.master).newest, row)), event["mac"]);
});

test("vectors: a checkpoint → signed as the layout says, and verified with the public key alone", () => {
  const { checkpoint, publicKey, event } = vectors;
  const body = unhex(checkpoint["body"] as string);
  assert.equal(hex(sha(L("audit-checkpoint"), body)), checkpoint["hash"]);
  const pkcs8 = Buffer.concat([
    Buffer.from("302e020100300506032b657004220420", "hex"),
    hmac("sha256", K, L("audit-signing")),
  ]);
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  assert.equal(hex(sign(null, Buffer.concat([L("audit-checkpoint"), body]), key)), checkpoint["signature"]);
  const row = {
    number: 1,
    at: Number(checkpoint["at"]),
    kind: 0,
    body,
    signature: unhex(checkpoint["signature"] as string),
  };
  const content = decodeCheckpoint(body)!;
  assert.equal(isSigned(row, content.keyId, readPublicKeys([publicKey])), true);
  assert.deepEqual(
    content.heads.map(({ hash }) => hex(hash)),
    [event["hash"]],
  );
  assert.equal(
    isSigned({ ...row, body: body.with(30, body[30]! ^ 1) }, content.keyId, readPublicKeys([publicKey])),
    false,
  );
});

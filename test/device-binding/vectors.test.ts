import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DeviceTags, purpose } from "../../src/device-binding/tags.ts";
import { generateKey, KeyRing } from "../../src/index.ts";

interface Vector {
  master: string;
  kid: string;
  device: string;
  tags: { purpose: keyof typeof purpose; time: number; subject: string; text: string }[];
}

/** Made by an independent program from docs/formats.md. */
const vectors: Vector[] = JSON.parse(
  readFileSync(new URL("../vectors/device-vectors.json", import.meta.url), "utf8"),
);

const bytes = (text: string): Buffer => Buffer.from(text, "hex");
const keyOf = (master: string): string => `ssk1_${bytes(master).toString("base64url")}`;

test.each(vectors)("device vector: key $kid → its device key and tags (R29)", ({ master, device, tags }) => {
  const ring = KeyRing.from(keyOf(master));
  const message = Buffer.from("any message");
  expect(Buffer.from(ring.newest.device.of(message))).toEqual(
    createHmac("sha256", bytes(device)).update(message).digest(),
  );
  for (const { purpose: name, time, subject, text } of tags) {
    expect(new DeviceTags(ring).make(purpose[name], time, bytes(subject))).toBe(text);
    const older = new DeviceTags(KeyRing.from([generateKey(), keyOf(master)]));
    expect(older.read(purpose[name], text, bytes(subject))).toBe(time);
  }
});

test("device tags: another purpose, subject, key or character → not read (R61)", () => {
  const [{ master, tags }] = vectors as [Vector];
  const reader = new DeviceTags(KeyRing.from(keyOf(master)));
  for (const { purpose: name, subject, text } of tags) {
    const of = purpose[name];
    for (const other of Object.values(purpose))
      if (other !== of) expect(reader.read(other, text, bytes(subject))).toBeNull();
    expect(reader.read(of, text, Buffer.concat([bytes(subject), Buffer.from([0])]))).toBeNull();
    expect(new DeviceTags(KeyRing.from(generateKey())).read(of, text, bytes(subject))).toBeNull();
    for (let at = 0; at < text.length; at++) {
      const changed = text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
      expect(reader.read(of, changed, bytes(subject))).toBeNull();
    }
    for (const wrong of ["", text.slice(1), `${text}A`, `${text}=`])
      expect(reader.read(of, wrong, bytes(subject))).toBeNull();
  }
});

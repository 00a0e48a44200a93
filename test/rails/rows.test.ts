import { describe, expect, test } from "vitest";
import { RailsEncryption } from "../../src/rails/encryption.ts";
import { decodeSession, sessionObject } from "../../src/rails/session-bytes.ts";
import { isPublicId, privateId } from "../../src/rails/session-id.ts";
import { bytes, fromTyped, vectors, type Typed } from "./typed.ts";

describe("session ids", () => {
  const { ids } = vectors("session-ids");
  test("session ids of the vectors → complete", () => expect(ids).toHaveLength(15));

  test.each<[string, Typed]>(ids.map((id: Typed) => [JSON.stringify(id.public_id), id]))(
    "%s → the row's id (R2, R3)",
    (_, id) => {
      expect(privateId(bytes(id.public_id_utf8_hex))).toBe(id.private_id);
      if (id.public_id === null) return;
      expect(privateId(id.public_id)).toBe(id.private_id);
      // Rails would look every one of these up; only those that a store makes are ids here.
      expect(isPublicId(id.public_id)).toBe(/^[0-9a-f]{32}$/.test(id.public_id));
      expect(isPublicId(id.private_id)).toBe(false);
    },
  );
});

describe.each(["sqlite", "postgresql"])("whole rows of %s", (database) => {
  const encryption = new RailsEncryption({
    primaryKey: "test primary key one",
    keyDerivationSalt: "test salt",
    hashDigestClass: "SHA256",
  });

  test.each<[string, Typed]>(vectors("rows")[database].rows.map((row: Typed) => [row.public_id, row]))(
    "%s",
    (_, row) => {
      expect(privateId(row.public_id)).toBe(row.sid);
      const seen = row.data === null ? {} : sessionObject(decodeSession(encryption.open(bytes(row.data))));
      expect(seen).toStrictEqual(fromTyped(row.value));
    },
  );
});

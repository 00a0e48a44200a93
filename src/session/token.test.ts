import { createHmac, type KeyObject } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { derivedKey } from "../../test/session/derived-keys.ts";
import { generateKey, KeyRing } from "../sealing/keyring.ts";
import { hasTokenShape, mintToken, readToken, refreshToken, rowIdOf } from "./token.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const [oldest, newest] = [generateKey(), generateKey()];
const before = KeyRing.from(oldest);
const after = KeyRing.from([newest, oldest]);

/** A token's text from its parts, by the formats and nothing of ours. */
function textOf(version: number, sid: Uint8Array, key: KeyObject, tagBytes = 15): string {
  const body = Buffer.concat([Buffer.from([version]), sid]);
  const tag = createHmac("sha256", key).update(body).digest().subarray(0, tagBytes);
  return Buffer.concat([body, tag]).toString("base64url");
}

describe("mintToken", () => {
  test("200,000 tokens → no duplicate, no biased bit (R1)", () => {
    const count = 200_000;
    const seen = new Set<string>();
    const ones = new Uint32Array(48 * 8);
    for (let index = 0; index < count; index++) {
      const { text } = mintToken(before);
      seen.add(text);
      const bytes = Buffer.from(text, "base64url");
      for (let at = 0; at < 48; at++) {
        const byte = bytes[at]!;
        for (let bit = 0; bit < 8; bit++) ones[at * 8 + bit]! += (byte >> bit) & 1;
      }
    }
    expect(seen.size).toBe(count);
    expect([...ones.subarray(0, 8)]).toEqual([count, 0, 0, 0, 0, 0, 0, 0]);
    // Six standard deviations of a fair coin: this fails by chance once in a million runs.
    const limit = 6 * (Math.sqrt(count) / 2);
    for (const count1 of ones.subarray(8)) expect(Math.abs(count1 - count / 2)).toBeLessThan(limit);
  }, 60_000);

  test("a new token → 64 characters from 32 random bytes, with a tag of the newest key", () => {
    const token = mintToken(after);
    expect(token.text).toMatch(/^[A-Za-z0-9_-]{64}$/);
    expect(token.sid).toHaveLength(32);
    expect(token.text).toBe(textOf(1, token.sid, derivedKey(newest, "token")));
    expect(token.id).toEqual(rowIdOf(token.sid));
    expect(token.stale).toBe(false);
  });
});

describe("readToken", () => {
  const token = mintToken(before);

  test("a minted token → read, with its own copy of the bytes", () => {
    const read = readToken(before, token.text)!;
    expect(read.text).toBe(token.text);
    const sid = Buffer.from(token.sid);
    expect(Buffer.from(read.sid)).toEqual(sid);
    expect(read.id).toEqual(token.id);
    expect(read.stale).toBe(false);
    readToken(before, mintToken(before).text);
    expect(Buffer.from(read.sid)).toEqual(sid);
    expect(Buffer.from(token.sid)).toEqual(sid);
  });

  test("a tag of any key of the ring → accepted, and marked if the key is not the newest (R27)", () => {
    expect(readToken(after, token.text)).toMatchObject({ stale: true, id: token.id });
    expect(readToken(after, mintToken(after).text)!.stale).toBe(false);
    expect(readToken(before, mintToken(after).text)).toBeNull();
    expect(readToken(KeyRing.from(newest), token.text)).toBeNull();
  });

  test("a tag of a key for another purpose → null", () => {
    for (const name of ["row", "seal", "user", "audit"] as const) {
      expect(readToken(before, textOf(1, token.sid, derivedKey(oldest, name)))).toBeNull();
    }
  });

  test("any character changed → null (R3, R11)", () => {
    const { text } = token;
    let refused = 0;
    for (let at = 0; at < text.length; at++) {
      for (let code = 0; code < 256; code++) {
        const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
        if (changed === text) continue;
        if (readToken(before, changed) !== null) throw new Error(`Accepted at ${at}: ${code}`);
        refused++;
      }
    }
    expect(refused).toBe(64 * 255);
    expect(readToken(before, text)).not.toBeNull();
  });

  test("any other length, padding or white space → null (R11)", () => {
    const { text } = token;
    expect(text).toHaveLength(64);
    for (let length = 0; length < 64; length++) expect(readToken(before, text.slice(0, length))).toBeNull();
    for (const more of [..."=.%; \n\r\t\0", ...ALPHABET, "==", "AAAA", text]) {
      expect(readToken(before, text + more)).toBeNull();
      expect(readToken(before, more + text)).toBeNull();
    }
    expect(readToken(before, `${text.slice(0, 63)}=`)).toBeNull();
    expect(readToken(before, `${text.slice(0, 32)}\n${text.slice(32)}`)).toBeNull();
    expect(readToken(before, `${text.slice(0, 32)}\n${text.slice(32, 63)}`)).toBeNull();
    expect(readToken(before, `"${text}"`)).toBeNull();
  });

  test("the same bytes in standard base64, hexadecimal or another case → null (R11)", () => {
    let standard = 0;
    for (let index = 0; index < 50; index++) {
      const { text } = mintToken(before);
      const bytes = Buffer.from(text, "base64url");
      if (bytes.toString("base64") !== text) {
        standard++;
        expect(readToken(before, bytes.toString("base64"))).toBeNull();
      }
      expect(readToken(before, bytes.toString("hex"))).toBeNull();
      expect(readToken(before, text.toLowerCase())).toBeNull();
      expect(readToken(before, text.toUpperCase())).toBeNull();
      expect(readToken(before, encodeURIComponent(`s:${text}`))).toBeNull();
    }
    expect(standard).toBeGreaterThan(0);
  });

  test("letters that look alike or fold to the alphabet → rejected", () => {
    for (const character of ["\uff21", "\u0410", "\u017f", "\u212a", "\u00e9", "\u{1f36a}"]) {
      expect(readToken(before, character + token.text.slice(character.length))).toBeNull();
      expect(readToken(before, token.text.slice(0, 64 - character.length) + character)).toBeNull();
    }
  });

  test("another version with a valid tag → rejected", () => {
    expect(readToken(before, textOf(1, token.sid, derivedKey(oldest, "token")))).not.toBeNull();
    for (const version of [0, 2, 3, 129, 255]) {
      expect(readToken(before, textOf(version, token.sid, derivedKey(oldest, "token")))).toBeNull();
    }
  });

  test("an invented token → rejected (R3)", () => {
    const invented = [
      "",
      "null",
      "undefined",
      "A".repeat(64),
      `AQ${"A".repeat(62)}`,
      "1".repeat(64),
      textOf(1, new Uint8Array(32), derivedKey(newest, "token")),
      textOf(1, token.sid.subarray(0, 31), derivedKey(oldest, "token"), 16),
    ];
    for (const text of invented) expect(readToken(before, text)).toBeNull();
  });

  test("a rejected token → the next token is not affected", () => {
    readToken(before, token.text);
    expect(readToken(before, `!${token.text.slice(1)}`)).toBeNull();
    expect(readToken(before, `${token.text.slice(0, 63)}!`)).toBeNull();
  });
});

describe("refreshToken", () => {
  test("refresh → the same session id with the newest key's tag", () => {
    const stale = readToken(after, mintToken(before).text)!;
    const fresh = refreshToken(after, stale);
    expect(stale.stale).toBe(true);
    expect(fresh.stale).toBe(false);
    expect(fresh.sid).toEqual(stale.sid);
    expect(fresh.id).toEqual(stale.id);
    expect(fresh.text).not.toBe(stale.text);
    expect(readToken(after, fresh.text)).toMatchObject({ stale: false, id: stale.id });
    expect(readToken(KeyRing.from(newest), fresh.text)).toMatchObject({ id: stale.id });
  });

  test("refresh: the tag is already the newest key's → unchanged", () => {
    const token = mintToken(after);
    expect(refreshToken(after, token).text).toBe(token.text);
  });
});

describe("rowIdOf", () => {
  test("a sid of any length, as drop-in stores have → an id of 32 bytes", () => {
    const ids = ["", "s", "x".repeat(31), "x".repeat(33), "an id of another library"].map((text) =>
      Buffer.from(rowIdOf(Buffer.from(text))).toString("hex"),
    );
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toHaveLength(64);
    expect(Buffer.from(rowIdOf(Buffer.alloc(32, 2))).toString("hex")).toBe(
      "3e1386026ab367464810f99394ebc89675536b7d2e336bdd179dfe1d37f6f851",
    );
  });
});

describe("a token that is shown (R2)", () => {
  test("printing a token → only its row id is shown", () => {
    const token = mintToken(before);
    const id = Buffer.from(token.id).toString("hex");
    expect(inspect(token)).toBe(`Token { id: ${id}, stale: false }`);
    expect(JSON.stringify({ token })).toBe(JSON.stringify({ token: { id, stale: false } }));
    const shown = [
      inspect(token, { customInspect: false, showHidden: true, depth: Infinity }),
      inspect({ ...token }),
      JSON.stringify({ ...token }),
      inspect(structuredClone({ ...token })),
      String(token),
    ].join("\n");
    expect(shown).not.toContain(token.text);
    expect(shown).not.toContain(token.text.slice(2, 40));
    expect(shown).not.toContain(Buffer.from(token.sid).toString("hex"));
    expect(shown).not.toContain(inspect(Buffer.from(token.sid)).slice(8, 40));
    expect(shown).not.toContain([...token.sid.subarray(0, 6)].join(", "));
  });
});

describe("hasTokenShape", () => {
  test("a token of another key ring → true; another version, length or alphabet → false", () => {
    const { text } = mintToken(KeyRing.from(generateKey()));
    expect(readToken(before, text)).toBeNull();
    expect(hasTokenShape(text)).toBe(true);
    const other = Buffer.from(text, "base64url");
    other[0] = 2;
    for (const wrong of [
      other.toString("base64url"),
      text.slice(1),
      `${text}A`,
      text.replace(/.$/, "+"),
      "",
    ]) {
      expect(hasTokenShape(wrong)).toBe(false);
    }
  });
});

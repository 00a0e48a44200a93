import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { generateKey, KeyRing } from "../sealing/keyring.ts";
import { KnownTokens } from "./known-tokens.ts";
import { mintToken, readKnownToken, readToken } from "./token.ts";

const [newest, older] = [generateKey(), generateKey()];
const ring = KeyRing.from([newest, older]);

describe("known tokens", () => {
  test("a token that was verified → is read again as the first time, also under an older key", () => {
    const known = new KnownTokens();
    for (const key of [newest, older]) {
      const { text } = mintToken(KeyRing.from(key));
      const first = readToken(ring, text)!;
      for (let request = 0; request < 3; request++) {
        const again = readKnownToken(ring, known, text)!;
        expect([again.text, again.sid, again.id, again.stale]).toEqual([
          text,
          first.sid,
          first.id,
          key === older,
        ]);
      }
    }
  });

  test("R11: what does not verify → does not verify the next time either", () => {
    const known = new KnownTokens();
    const { text } = mintToken(ring);
    readKnownToken(ring, known, text);
    const forged = [
      mintToken(KeyRing.from(generateKey())).text,
      text.slice(0, 63) + (text.endsWith("A") ? "B" : "A"),
      `${text}A`,
      `${text} `,
      "",
    ];
    for (let request = 0; request < 2; request++)
      for (const other of forged) expect(readKnownToken(ring, known, other)).toBeNull();
  });

  test("promise 10: more tokens than are kept → each is still read", () => {
    const known = new KnownTokens();
    const texts = Array.from({ length: 10_000 }, () => mintToken(ring).text);
    for (const text of texts) expect(readKnownToken(ring, known, text)?.text).toBe(text);
    const found = texts.filter((text) => known.find(known.keyOf(text)) !== undefined);
    expect(found.length).toBeGreaterThan(4_000);
    expect(found.length).toBeLessThanOrEqual(8_192);
    for (const text of texts.slice(0, 10)) expect(readKnownToken(ring, known, text)?.text).toBe(text);
  });

  test("a token that was verified → the next read verifies nothing and returns the same id", () => {
    const known = new KnownTokens();
    const { text } = mintToken(ring);
    expect(readKnownToken(ring, known, text)!.id).toBe(readKnownToken(ring, known, text)!.id);
  });

  test("promise 10: what is kept of a token → keeps no buffer of other bytes in memory", () => {
    const known = new KnownTokens();
    const { text } = mintToken(ring);
    readKnownToken(ring, known, text);
    expect(known.find(known.keyOf(text))!.id.buffer.byteLength).toBe(32);
  });

  test("text that is no token by its form → not even hashed", () => {
    const known = new KnownTokens();
    const keyOf = vi.spyOn(known, "keyOf");
    for (const text of ["", "A".repeat(63), "A".repeat(65), `${"A".repeat(63)}+`])
      expect(readKnownToken(ring, known, text)).toBeNull();
    expect(keyOf).not.toHaveBeenCalled();
  });

  test("a key → 32 characters, so that 8,192 of them take little memory", () => {
    expect(new KnownTokens().keyOf(mintToken(ring).text)).toHaveLength(32);
  });

  describe("two generations of 4,096", () => {
    const token = { id: new Uint8Array(32), stale: false };
    const fill = (known: KnownTokens, from: number, count: number): void => {
      for (let nth = from; nth < from + count; nth++) known.add(String(nth), { ...token });
    };

    test("8,191 later ones → the first is still found; one more → forgotten", () => {
      const known = new KnownTokens();
      known.add("first", token);
      fill(known, 0, 8_191);
      const other = new KnownTokens();
      other.add("first", token);
      fill(other, 0, 8_192);
      expect(known.find("first")).toBe(token);
      expect(other.find("first")).toBeUndefined();
    });

    test("one of the older generation is found → kept for another generation", () => {
      const known = new KnownTokens();
      known.add("first", token);
      fill(known, 0, 5_000);
      expect(known.find("first")).toBe(token);
      fill(known, 5_000, 5_000);
      expect(known.find("first")).toBe(token);
    });

    test("one of the newer generation is found → stays there, and is not added again", () => {
      const known = new KnownTokens();
      fill(known, 0, 4_096);
      const add = vi.spyOn(known, "add");
      expect(known.find("4095")).toEqual(token);
      expect(add).not.toHaveBeenCalled();
    });
  });

  test("R2: what is kept → is no token and contains none", () => {
    const known = new KnownTokens();
    const { text, sid } = mintToken(ring);
    readKnownToken(ring, known, text);
    const key = known.keyOf(text);
    const shown = inspect([key, known.find(key), known], { depth: 9, showHidden: true });
    for (const secret of [text, Buffer.from(sid).toString("latin1"), Buffer.from(sid).toString("hex")])
      expect(shown).not.toContain(secret);
    expect(new KnownTokens().keyOf(text)).not.toBe(key);
  });
});

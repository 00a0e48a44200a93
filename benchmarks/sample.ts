import type { Codec, Content } from "../src/codec/codec.ts";

/** A session of exactly so many bytes, encoded: a user or none, a cart with dates, and text for the rest. */
export function contentOf(bytes: number, codec: Codec, user: string | undefined): Content {
  const cart = [
    { sku: "sencha-uji", quantity: 2, cents: 1450, addedAt: new Date("2026-03-01T09:30:00.125Z") },
    { sku: "dong-ding", quantity: 1, cents: 1890, addedAt: new Date("2026-03-01T09:31:12.750Z") },
  ];
  const content = (length: number): Content => ({
    data: { cart, locale: "en-GB", visits: 1000, notes: textOf(length) },
    user,
    flash: {},
  });
  let length = bytes;
  // The lengths of MessagePack's own length prefixes vary, so the last bytes are found by trying.
  while (codec.encode(content(length)).length > bytes) length--;
  const found = codec.encode(content(length)).length;
  if (found !== bytes) throw new Error(`No sample of ${bytes} bytes: the nearest has ${found}.`);
  return content(length);
}

/** Words and numbers in an order of no pattern, and always the same one, so that the text deflates as text does. */
function textOf(length: number): string {
  let text = "";
  let state = 1;
  while (text.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    text += state >>> 30 === 0 ? `${state % 100_000} ` : `${words[(state >>> 16) % words.length]} `;
  }
  return text.slice(0, length);
}

const words =
  "steamed roasted malty smoky floral grassy mellow bright tannic sweet amber jade copper spring autumn harvest leaf bud".split(
    " ",
  );

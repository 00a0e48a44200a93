/** What a session holds in these benchmarks, for every store the same. */
export interface Content {
  user?: string;
  visits: number;
  [name: string]: unknown;
}

const words =
  "steamed roasted malty smoky floral grassy mellow bright tannic sweet amber jade copper spring autumn harvest leaf bud".split(
    " ",
  );

const cartOf = (visits: number) => ({
  visits,
  locale: "en-GB",
  cart: [
    { sku: "sencha-uji", quantity: 2, cents: 1450, addedAt: "2026-03-01T09:30:00.125Z" },
    { sku: "dong-ding", quantity: 1, cents: 1890, addedAt: "2026-03-01T09:31:12.750Z" },
  ],
  notes: "",
});

/** Bytes of JSON of the cart alone. */
export const smallestSize = JSON.stringify(cartOf(1000)).length;

/** An object of so many bytes of JSON: a cart, and words of no pattern for the rest. */
export function contentOf(bytes: number, visits = 1000): Content {
  const content = cartOf(visits);
  let notes = "";
  let state = 1;
  while (notes.length < bytes) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    notes += `${words[(state >>> 16) % words.length]} `;
  }
  content.notes = notes.slice(0, bytes - JSON.stringify(content).length);
  return content;
}

/** Four digits whatever the count, so that a session keeps its size. */
export function nextVisit(visits: number | undefined): number {
  return 1000 + (((visits ?? 0) + 1) % 9000);
}

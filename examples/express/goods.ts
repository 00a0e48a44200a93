export interface Tea {
  readonly sku: string;
  readonly name: string;
  readonly notes: string;
  readonly grams: number;
  readonly cents: number;
}

export const teas: readonly Tea[] = [
  {
    sku: "sencha",
    name: "Sencha Uji",
    notes: "Steamed green, cut grass, a little salt",
    grams: 80,
    cents: 1450,
  },
  { sku: "assam", name: "Assam Mokalbari", notes: "Malt and dark honey, takes milk", grams: 100, cents: 980 },
  {
    sku: "oolong",
    name: "Dong Ding Oolong",
    notes: "Roasted hazelnut, long and warm",
    grams: 75,
    cents: 1890,
  },
  {
    sku: "jasmine",
    name: "Jasmine Pearls",
    notes: "Rolled by hand, scented six nights",
    grams: 60,
    cents: 2120,
  },
  {
    sku: "rooibos",
    name: "Cederberg Rooibos",
    notes: "Vanilla and red earth, no caffeine",
    grams: 100,
    cents: 790,
  },
  {
    sku: "lapsang",
    name: "Lapsang Souchong",
    notes: "Pine smoke, for rain on the window",
    grams: 80,
    cents: 1260,
  },
];

export function teaOf(sku: unknown): Tea | undefined {
  return teas.find((tea) => tea.sku === sku);
}

export function price(cents: number): string {
  return `€ ${(cents / 100).toFixed(2)}`;
}

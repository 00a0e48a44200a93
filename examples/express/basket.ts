import type { Tea } from "./goods.ts";
import { teaOf } from "./goods.ts";

interface Line {
  quantity: number;
  addedAt: Date;
}

/** By sku, in the order in which they were first added. */
export type Basket = Map<string, Line>;

// What `req.session.data` holds, for the whole application.
declare module "stored-session" {
  interface SessionData {
    basket: Basket;
    basketSince: Date;
  }
}

const mostOfOne = 20;

export function add(basket: Basket, tea: Tea, now: Date): void {
  const quantity = basket.get(tea.sku)?.quantity ?? 0;
  basket.set(tea.sku, { quantity: Math.min(quantity + 1, mostOfOne), addedAt: now });
}

/** Takes one away, and the line with the last one. */
export function take(basket: Basket, sku: string): void {
  const line = basket.get(sku);
  if (line === undefined) return;
  if (line.quantity > 1) basket.set(sku, { ...line, quantity: line.quantity - 1 });
  else basket.delete(sku);
}

export function totals(basket: Basket): { pieces: number; cents: number } {
  let pieces = 0;
  let cents = 0;
  for (const [sku, { quantity }] of basket) {
    pieces += quantity;
    cents += quantity * (teaOf(sku)?.cents ?? 0);
  }
  return { pieces, cents };
}

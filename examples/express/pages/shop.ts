import { type Basket, totals } from "../basket.ts";
import { price, type Tea, teaOf, teas } from "../goods.ts";
import { html, type Html } from "../html.ts";
import { tin } from "./tin.ts";
import { clock, day } from "./time.ts";

export function shopPage(basket: Basket, since: Date | undefined, isNew: boolean): Html {
  return html`<div class="hero">
      <h1>Six teas, one basket, no secrets in the database</h1>
      <p>
        Put something in the basket, log in as anyone, then look at
        <a href="/database">what the database holds</a> of it.
      </p>
    </div>
    <div class="shop">
      <section aria-labelledby="teas">
        <h2 id="teas" class="visually-hidden">Teas</h2>
        <ul class="goods">
          ${teas.map(card)}
        </ul>
      </section>
      <aside class="basket" aria-labelledby="basket">${basketPanel(basket, since, isNew)}</aside>
    </div>`;
}

function card(tea: Tea): Html {
  return html`<li class="tea">
    <div class="picture tea-${tea.sku}">${tin(tea.sku)}</div>
    <div class="words">
      <h3>${tea.name}</h3>
      <p>${tea.notes}</p>
    </div>
    <form method="post" action="/basket/add" class="buy">
      <p class="price"><strong>${price(tea.cents)}</strong> <span>${tea.grams} g</span></p>
      <input type="hidden" name="sku" value="${tea.sku}" />
      <button class="small" aria-label="Add ${tea.name} to the basket">Add</button>
    </form>
  </li>`;
}

function basketPanel(basket: Basket, since: Date | undefined, isNew: boolean): Html {
  const { pieces, cents } = totals(basket);
  if (pieces === 0) {
    return html`<h2 id="basket">Your basket</h2>
      <p class="soft">Still empty.</p>
      <p class="aside-note">
        ${
          isNew
            ? "You have no session yet: no cookie was set, and the database was not asked."
            : "Your session is there, with nothing in the basket."
        }
      </p>`;
  }
  return html`<h2 id="basket">Your basket <span class="count">${pieces}</span></h2>
    <ul class="lines">
      ${[...basket].map(
        ([sku, { quantity, addedAt }]) =>
          html`<li>
            <div>
              <strong>${teaOf(sku)?.name ?? sku}</strong>
              <span class="soft">${quantity} × ${price(teaOf(sku)?.cents ?? 0)}</span>
              <span class="soft">added at ${clock(addedAt)}</span>
            </div>
            <form method="post" action="/basket/take">
              <input type="hidden" name="sku" value="${sku}" />
              <button class="quiet icon" aria-label="Take one ${teaOf(sku)?.name ?? sku} out">−</button>
            </form>
          </li>`,
      )}
    </ul>
    <p class="total"><span>Total</span><strong>${price(cents)}</strong></p>
    ${since instanceof Date && html`<p class="aside-note">A Map of Dates, in your session since ${day(since)}, ${clock(since)}.</p>`}`;
}

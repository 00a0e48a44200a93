import { html, type Html } from "../html.ts";

/** Shown in UTC, because the server does not know the reader's time zone. */
export function clock(date: Date): Html {
  const iso = date.toISOString();
  return html`<time datetime="${iso}">${iso.slice(11, 19)} UTC</time>`;
}

export function day(date: Date): Html {
  const iso = date.toISOString();
  const words = date.toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
  return html`<time datetime="${iso.slice(0, 10)}">${words}</time>`;
}

import { hash } from "../sealing/hash.ts";
import { html, raw, type Html, type Part } from "./html.ts";
import { script } from "./script.ts";
import { style } from "./style.ts";

export interface Page {
  readonly title: string;
  /** Which entry of the navigation it belongs to. */
  readonly place: Place | null;
  readonly body: Html;
  readonly status?: number;
}

export type Place = "overview" | "user" | "audit" | "keys";

const places: Readonly<Record<Place, { readonly path: string; readonly name: string }>> = {
  overview: { path: "/", name: "Overview" },
  user: { path: "/user", name: "Users" },
  audit: { path: "/audit", name: "Audit" },
  keys: { path: "/keys", name: "Keys and jobs" },
};

/** Nothing may be loaded, framed or run but the style sheet and the script that stand here. */
export const contentSecurityPolicy: string = [
  "default-src 'none'",
  `style-src '${digest(style)}'`,
  `script-src '${digest(script)}'`,
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

// Whole, because the digests cover every character between the tags.
const styleElement = raw(`<style>${style}</style>`);
const scriptElement = raw(`<script>${script}</script>`);

function digest(text: string): string {
  return `sha256-${hash("sha256", text, "base64")}`;
}

/** Where the body of a streamed page goes. */
export const BODY = "<!-- body -->";

export interface Frame {
  /** What stands before the path of every page. */
  readonly base: string;
  /** Null for a page without navigation. */
  readonly actor: string | null;
  readonly isRecorded: boolean;
}

export function layout({ base, actor, isRecorded }: Frame, page: Page): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${page.title} · Sessions</title>
        ${styleElement}
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        <header class="top">
          <div class="bar">
            <strong>Stored Session</strong>
            ${
              actor !== null &&
              html`<nav aria-label="Pages">
                  <ul>
                    ${Object.entries(places).map(([place, { path, name }]) => entry(base + path, name, place === page.place))}
                  </ul>
                </nav>
                <span class="who">${actor}</span>`
            }
          </div>
        </header>
        <main id="main">${page.body}</main>
        <footer>
          All times are UTC. ${isRecorded && html`Reading events is recorded in the audit trail.`}
        </footer>
        ${scriptElement}
      </body>
    </html> `.toString();
}

function entry(path: string, name: string, isCurrent: boolean): Html {
  return isCurrent
    ? html`<li><a href="${path}" aria-current="page">${name}</a></li>`
    : html`<li><a href="${path}">${name}</a></li>`;
}

/** A row of links of which one is chosen. */
export function segments(
  label: string,
  links: readonly { href: string; name: string; isCurrent: boolean }[],
): Html {
  return html`<div class="segments" role="group" aria-label="${label}">
    ${links.map(({ href, name, isCurrent }) =>
      isCurrent
        ? html`<a href="${href}" aria-current="true">${name}</a>`
        : html`<a href="${href}">${name}</a>`,
    )}
  </div>`;
}

export function card(title: string, ...content: readonly Part[]): Html {
  return html`<section class="card">
    <h2>${title}</h2>
    ${content}
  </section>`;
}

export function notice(kind: "info" | "warn" | "bad" | "good", ...content: readonly Part[]): Html {
  return html`<div class="notice ${kind}" role="${kind === "info" ? "note" : "status"}">${content}</div>`;
}

/** A bar that shows the share of a whole. @param label read by screen readers */
export function shareBar(share: number, whole: number, label: string): Html {
  return html`<progress class="meter" max="${whole}" value="${share}" aria-label="${label}"></progress>`;
}

/** A table that scrolls by itself on a narrow screen. Columns named in `numbers` are set to the right. */
export function table(
  label: string,
  columns: readonly string[],
  rows: readonly (readonly Part[])[],
  numbers: readonly string[] = [],
): Html {
  return tableOf("scroll", label, columns, rows, numbers);
}

/** A table of things: on a narrow screen, each row becomes a block of lines. */
export function list(label: string, columns: readonly string[], rows: readonly (readonly Part[])[]): Html {
  return tableOf("scroll stack", label, columns, rows, []);
}

function tableOf(
  kind: string,
  label: string,
  columns: readonly string[],
  rows: readonly (readonly Part[])[],
  numbers: readonly string[],
): Html {
  const classOf = (column: string): string => (numbers.includes(column) ? "number" : "");
  return html`<div class="${kind}" tabindex="0" role="region" aria-label="${label}">
    <table>
      <thead>
        <tr>
          ${columns.map((column) => html`<th scope="col" class="${classOf(column)}">${column}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map(
                (cell, index) =>
                  html`<td class="${classOf(columns[index]!)}" data-label="${columns[index]!}">${cell}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

export function facts(entries: readonly (readonly [name: string, value: Part])[]): Html {
  return html`<dl>
    ${entries.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`;
}

import { html, type Html } from "../html.ts";
import { operatorsPath } from "../operators.ts";

export interface Page {
  readonly title: string;
  /** The path of the menu entry that is shown as current. */
  readonly path: string;
  readonly user: string | undefined;
  readonly notice?: unknown;
  readonly body: Html;
}

const menu = [
  ["/", "Shop"],
  ["/devices", "Your devices"],
  ["/database", "The database"],
  [operatorsPath, "What your operators see"],
] as const;

export function layout({ title, path, user, notice, body }: Page): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Kettle &amp; Leaf</title>
        <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        <header class="top">
          <div class="bar">
            <a class="brand" href="/">${mark}<span>Kettle &amp; Leaf</span></a>
            <nav aria-label="Main">
              ${menu.map(
                ([href, name]) =>
                  html`<a href="${href}" ${href === path && html`aria-current="page"`}>${name}</a>`,
              )}
            </nav>
            <div class="who">
              ${
                user === undefined
                  ? html`<a class="button small" href="/login">Log in</a>`
                  : html`<span class="user"
                        ><span class="avatar" aria-hidden="true">${initial(user)}</span
                        ><span class="name">${user}</span></span
                      >
                      <form method="post" action="/logout">
                        <button class="quiet small">Log out</button>
                      </form>`
              }
            </div>
          </div>
        </header>
        <main id="main">
          ${typeof notice === "string" && html`<p class="notice" role="status">${notice}</p>`} ${body}
        </main>
        <footer>
          <p>
            A demo of <strong>Stored Session</strong>. Nothing here is for sale, and the database starts empty
            each time.
          </p>
        </footer>
      </body>
    </html>`.text.trim();
}

function initial(user: string): string {
  return [...user][0]?.toUpperCase() ?? "";
}

const mark = html`<svg viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">
  <circle cx="16" cy="16" r="16" class="mark-ground" />
  <path class="mark-leaf" d="M8 21C8 12 14 8 24 8c0 10-4 16-13 16-1 0-2-.2-3-1z" />
  <path class="mark-vein" d="M8.5 25c2-5 5.500-8.500 10-11.500" />
</svg>`;

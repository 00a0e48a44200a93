import { inspect } from "node:util";
import type { Session, SessionInfo } from "stored-session";
import { html, type Html } from "../html.ts";
import type { StoredRow } from "../row.ts";
import { envelopeParts, hexDump, hexLine } from "./hex.ts";

type Kind = "hashed" | "keyed hash" | "encrypted" | "random" | "in clear";

interface Column {
  readonly name: string;
  readonly kind: Kind;
  /** One sentence. */
  readonly says: string;
  readonly stored: Html;
  readonly seen: Html;
}

export function databasePage(row: StoredRow, session: Session, info: SessionInfo | null): Html {
  return html`<div class="heading">
      <div>
        <h1>What the database holds</h1>
        <p class="soft">
          Left: the row of your session in the table <code>stored_sessions</code>, read from the file just
          now. Right: what the server reads from it with its keys and your cookie. Every save makes a new
          salt, ciphertext and tag.
        </p>
      </div>
    </div>
    <div class="columns">
      <div class="column heads" aria-hidden="true">
        <span></span><span>The database holds</span><span>The server sees</span>
      </div>
      ${columns(row, session, info).map(
        ({ name, kind, says, stored, seen }) =>
          html`<section class="column" aria-label="Column ${name}">
            <div class="about">
              <h2><code>${name}</code> <span class="kind ${kind.replace(" ", "-")}">${kind}</span></h2>
              <p>${says}</p>
            </div>
            <div class="stored">
              <h3>The database holds</h3>
              ${stored}
            </div>
            <div class="seen">
              <h3>The server sees</h3>
              ${seen}
            </div>
          </section>`,
      )}
    </div>`;
}

export function noRowPage(): Html {
  return html`<div class="narrow card">
    <h1>What the database holds</h1>
    <p>Nothing about you. You have no session, so there is no row and no cookie.</p>
    <p class="soft">Put a tea into the basket, or log in, and come back.</p>
    <p><a class="button" href="/">To the teas</a></p>
  </div>`;
}

function columns(row: StoredRow, session: Session, info: SessionInfo | null): Column[] {
  return [
    {
      name: "id",
      kind: "hashed",
      says: "SHA-256 of the random id in your cookie. It finds the row and cannot be turned back into the cookie.",
      stored: hexLine(row.id),
      seen: html`<dl>
        <dt>handle</dt>
        <dd><code>${session.handle}</code></dd>
        <dt>cookie</dt>
        <dd>only in your browser, where scripts cannot read it</dd>
      </dl>`,
    },
    {
      name: "data",
      kind: "encrypted",
      says: "Basket, user and messages, sealed with AES-256-GCM under a key that is derived for this row and this write only.",
      stored: html`${hexDump(envelopeParts(row.data))}${legend(envelopeParts(row.data))}`,
      seen: html`<pre>${inspect(session.data, { depth: 6, breakLength: 60 })}</pre>`,
    },
    {
      name: "user_ref",
      kind: "keyed hash",
      says: "HMAC of the user id under a key of the server. It finds all your devices and does not reveal who you are.",
      stored: row.user_ref === null ? html`<code>NULL</code>` : hexLine(row.user_ref),
      seen:
        session.user === undefined
          ? html`<p class="soft">Nobody is logged in.</p>`
          : html`<dl>
              <dt>user</dt>
              <dd>${session.user}</dd>
            </dl>`,
    },
    {
      name: "client",
      kind: "encrypted",
      says: "Your address and browser, sealed with AES-256-GCM. Opened only to list your devices.",
      stored: row.client === null ? html`<code>NULL</code>` : hexDump(envelopeParts(row.client)),
      seen: info?.client
        ? html`<pre>${inspect(info.client, { breakLength: 60 })}</pre>`
        : html`<p class="soft">Nothing.</p>`,
    },
    {
      name: "version",
      kind: "random",
      says: "A new random number for every write. A save compares it to detect that another request saved first.",
      stored: html`<code>${row.version}</code>`,
      seen: html`<p class="soft">Compared when the session is saved.</p>`,
    },
    {
      name: "times",
      kind: "in clear",
      says: "Created, last written, absolute and idle limit. The first and the third are bound into the seal.",
      stored: html`<dl class="times">
        <dt>created_at</dt>
        <dd><code>${row.created_at}</code></dd>
        <dt>updated_at</dt>
        <dd><code>${row.updated_at}</code></dd>
        <dt>absolute_expires_at</dt>
        <dd><code>${row.absolute_expires_at}</code></dd>
        <dt>expires_at</dt>
        <dd><code>${row.expires_at}</code></dd>
      </dl>`,
      seen: html`<dl>
        <dt>began</dt>
        <dd>${when(new Date(row.created_at))}</dd>
        <dt>last written</dt>
        <dd>${when(new Date(row.updated_at))}</dd>
        <dt>ends at the latest</dt>
        <dd>${when(new Date(row.absolute_expires_at))}</dd>
        <dt>ends when unused</dt>
        <dd>${when(new Date(row.expires_at))}</dd>
      </dl>`,
    },
  ];
}

function legend(parts: ReturnType<typeof envelopeParts>): Html {
  return html`<ul class="legend">
    ${parts.map(
      ({ name, part, bytes }) =>
        html`<li>
          <span class="swatch ${part}" aria-hidden="true"></span>${name}
          <span class="soft">${bytes.length} bytes</span>
        </li>`,
    )}
  </ul>`;
}

function when(date: Date): Html {
  const iso = date.toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`;
}

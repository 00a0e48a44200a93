import { html, type Html } from "../html.ts";

export interface Stolen {
  /** The `Cookie` header of this browser. */
  readonly cookies: readonly { readonly name: string; readonly value: string }[];
  /** Whether the session of this browser is bound to the device. */
  readonly bound: boolean;
  /** Who the server sees if the session cookie alone arrives; undefined for nobody. */
  readonly seen: string | undefined;
}

/** What somebody has who copied the cookie file of this browser. */
export function thiefPage({ cookies, bound, seen }: Stolen): Html {
  return html`<h1>A thief’s view</h1>
    <p class="soft">
      An infostealer copies the cookie file of your browser. These are its cookies of this shop. Copy the
      first one, and send it from another browser, or with curl.
    </p>
    ${cookies.map(
      ({ name, value }) =>
        html`<p>
          <label
            >${name}<br /><textarea rows="2" cols="80" readonly aria-label="${name}">
${name}=${value}</textarea>
          </label>
        </p>`,
    )}
    <div class="narrow card">
      <h2>What the thief gets with the session cookie</h2>
      <p data-seen>
        ${
          seen === undefined
            ? html`<strong>Nobody.</strong> A stranger with an empty basket.`
            : html`<strong>Your account: ${seen}.</strong>`
        }
      </p>
      <p class="soft">
        ${
          bound
            ? seen === undefined
              ? "Your session is bound to a key that never leaves this device. Only this browser can renew the second cookie, and it has to every 10 minutes."
              : "Your session was bound just now. For 10 seconds, requests count that were under way. Reload this page."
            : "Your session is not bound to this device: log in with a browser that has device-bound sessions."
        }
      </p>
    </div>`;
}

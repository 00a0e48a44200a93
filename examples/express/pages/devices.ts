import type { SessionInfo } from "stored-session";
import { deviceName, isPhone } from "../device.ts";
import { html, type Html } from "../html.ts";
import { clock, day } from "./time.ts";

export function devicesPage(devices: readonly SessionInfo[]): Html {
  const others = devices.filter(({ current }) => !current).length;
  return html`<div class="heading">
      <div>
        <h1>Your devices</h1>
        <p class="soft">
          ${
            others === 0
              ? "Only this one is logged in. Log in with the same name from a second browser to see it here."
              : "Each has a session of its own. One that you sign out is a stranger at its very next request."
          }
        </p>
      </div>
      ${
        others > 0 &&
        html`<form method="post" action="/devices/sign-out-others">
          <button class="danger">Sign out ${others === 1 ? "the other one" : `all ${others} others`}</button>
        </form>`
      }
    </div>
    <ul class="devices">
      ${devices.map(card)}
    </ul>
    ${
      devices.some(({ deviceBound }) => deviceBound) &&
      html`<p><a href="/thief">What a thief of your cookie gets</a></p>`
    }`;
}

export function devicesLogInPage(): Html {
  return html`<div class="narrow card">
    <h1>Your devices</h1>
    <p class="soft">Log in to see where else you are logged in, and to sign those devices out.</p>
    <p><a class="button" href="/login">Log in</a></p>
  </div>`;
}

function card({ handle, current, createdAt, updatedAt, client, deviceBound }: SessionInfo): Html {
  const name = deviceName(client?.userAgent);
  return html`<li class="card device ${current && "current"}">
    <span class="glyph" aria-hidden="true">${isPhone(client?.userAgent) ? phone : laptop}</span>
    <div>
      <h2>
        ${name} ${current && html`<span class="badge">this device</span>`}
        ${
          deviceBound &&
          html`<span class="badge" title="Its cookie is useless on another device">bound to its device</span>`
        }
      </h2>
      <p class="soft">
        Logged in on ${day(createdAt)}, ${clock(createdAt)}. Last seen at ${clock(updatedAt)}.
      </p>
      <p class="soft">
        ${client?.address ?? "No address"} ·
        <code title="The session's handle: names it, opens nothing">${handle.slice(0, 12)}…</code>
      </p>
    </div>
    ${
      !current &&
      html`<form method="post" action="/devices/sign-out">
        <input type="hidden" name="handle" value="${handle}" />
        <button class="quiet" aria-label="Sign out ${name}, logged in at ${createdAt.toISOString()}">
          Sign out
        </button>
      </form>`
    }
  </li>`;
}

const laptop = html`<svg viewBox="0 0 40 40" width="40" height="40">
  <rect x="8" y="9" width="24" height="17" rx="2.500" />
  <path d="M4 30h32" />
</svg>`;

const phone = html`<svg viewBox="0 0 40 40" width="40" height="40">
  <rect x="12.500" y="6" width="15" height="28" rx="3" />
  <path d="M18 30h4" />
</svg>`;

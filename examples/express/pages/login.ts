import { html, type Html } from "../html.ts";

export interface LoginForm {
  readonly name?: string;
  readonly problem?: string;
}

export function loginPage({ name = "", problem }: LoginForm): Html {
  return html`<div class="narrow card">
    <h1>Log in as anyone</h1>
    <p class="soft">
      There is no password here. Any name will do; what is in your basket comes along, and your session gets a
      new id.
    </p>
    <form method="post" action="/login" class="stack">
      <label for="name">Your name</label>
      <input
        id="name"
        name="name"
        value="${name}"
        maxlength="40"
        autocomplete="nickname"
        required
        autofocus
        ${problem !== undefined && html`aria-invalid="true" aria-describedby="problem"`}
      />
      ${problem !== undefined && html`<p id="problem" class="problem">${problem}</p>`}
      <button>Log in</button>
    </form>
    <p class="aside-note">
      Log in from a second browser, or a private window, and it appears among your devices.
    </p>
  </div>`;
}

import { html, type Html } from "../html.ts";

export function notFoundPage(): Html {
  return html`<div class="narrow card">
    <h1>There is nothing here</h1>
    <p><a class="button" href="/">To the teas</a></p>
  </div>`;
}

export function errorPage(status: number, code: string | undefined): Html {
  return html`<div class="narrow card">
    <h1>${sentences[status] ?? "Something went wrong"}</h1>
    <p class="soft">Status ${status}${code !== undefined && html`, <code>${code}</code>`}.</p>
    <p><a class="button" href="/">To the teas</a></p>
  </div>`;
}

const sentences: Record<number, string> = {
  409: "Your session ended, or changed, while this request was under way",
  413: "That is too much",
  503: "The sessions cannot be reached right now",
};

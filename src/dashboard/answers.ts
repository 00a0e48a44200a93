import { html, type Html } from "./html.ts";
import type { DashboardPermission } from "./options.ts";

/** What comes of a form. */
export type Answer =
  | { readonly kind: "redirect"; readonly to: string }
  | {
      readonly kind: "problem";
      readonly status: 400 | 403 | 404 | 409;
      readonly title: string;
      readonly text: Html;
    }
  | { readonly kind: "page"; readonly title: string; readonly body: Html }
  /** A page whose parts are sent as they become ready. */
  | {
      readonly kind: "stream";
      readonly title: string;
      readonly parts: (signal: AbortSignal) => AsyncIterable<Html>;
    }
  | {
      readonly kind: "download";
      readonly name: string;
      readonly type: string;
      readonly lines: () => AsyncIterable<string>;
    };

export function redirect(to: string): Answer {
  return { kind: "redirect", to };
}

export function denied(permission: DashboardPermission): Answer {
  return {
    kind: "problem",
    status: 403,
    title: "Not permitted",
    text: html`This needs the permission <code>${permission}</code>. Nothing was changed. Whoever runs this
      application can give it to you in <code>authorize</code>.`,
  };
}

export function invalid(text: string): Answer {
  return {
    kind: "problem",
    status: 400,
    title: "This form was not accepted",
    text: html`${text} Nothing was changed.`,
  };
}

export const notFound: Answer = {
  kind: "problem",
  status: 404,
  title: "Page not found",
  text: html`There is no such page in the dashboard.`,
};

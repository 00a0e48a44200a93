import { html as template, raw as trusted } from "hono/html";

/** Markup. Everything that `html` puts into it is escaped, unless it is markup itself. */
export interface Html {
  toString(): string;
}

/** What may stand in a template: null, undefined and false are left out. */
export type Part = Html | string | number | null | undefined | false | readonly Part[];

/** Markup from a template literal. Values are escaped for text and for attributes in double quotes. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  return template(strings, ...values) as Html;
}

/** Markup that is trusted as it is: for texts of this package only, never for a value. */
export function raw(text: string): Html {
  return trusted(text) as Html;
}

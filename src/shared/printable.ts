/**
 * Characters that can move a cursor, break a line, or reorder or hide text: control, format, bidi and separator
 * characters.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Those that JSON and `util.inspect` do not escape. */
const leftByJson = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const unprintableInLine = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Makes untrusted text, such as a key that a visitor chose, safe for errors, logs and terminals (R50): control, format,
 * bidi and separator characters and lone surrogates become `\u` escapes.
 */
export function printable(text: string): string {
  return text.replace(unprintable, escapeUnits);
}

/** The same for a multi-line message: line breaks (LF) are kept. */
export function printableLines(text: string): string {
  return text.replace(unprintableInLine, escapeUnits);
}

/** Returns text in double quotes, as JSON and {@link printable}. */
export function quoted(text: string): string {
  return printableJson(JSON.stringify(text));
}

/** The same for output of JSON or `util.inspect`: its line breaks and colors are kept. */
export function printableJson(json: string): string {
  return json.replace(leftByJson, escapeUnits);
}

function escapeUnits(mark: string): string {
  let escaped = "";
  for (let at = 0; at < mark.length; at++) {
    escaped += `\\u${mark.charCodeAt(at).toString(16).padStart(4, "0")}`;
  }
  return escaped;
}

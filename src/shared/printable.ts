/** What can move a cursor, break a line, or reorder or hide text: control, format, bidi and separator characters. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Of these, what JSON and `util.inspect` leave as it is. */
const leftByJson = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const unprintableInLine = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Text from outside, such as a key that a visitor chose, safe to show in an error, a log line or a terminal (R50):
 * control, format, bidi and separator characters and lone surrogates become `\u` escapes.
 */
export function printable(text: string): string {
  return text.replace(unprintable, escapeUnits);
}

/** The same for a message of several lines: line breaks (LF) stay. */
export function printableLines(text: string): string {
  return text.replace(unprintableInLine, escapeUnits);
}

/** Text in double quotes, as JSON, and {@link printable}. */
export function quoted(text: string): string {
  return printableJson(JSON.stringify(text));
}

/** The same for what JSON or `util.inspect` wrote: its line breaks and colors stay. */
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

const TEXT = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/;
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Formats a time like Rails on SQLite, `YYYY-MM-DD HH:MM:SS.fff` in UTC; the servers accept the same text. */
export function timeText(milliseconds: number): string {
  const time = new Date(Math.min(Math.max(Math.floor(milliseconds), 0), LATEST));
  return time.toISOString().replace("T", " ").slice(0, -1);
}

/**
 * Parses a time with any number of digits, rounded down to milliseconds: rounding ends a session earlier, never later.
 * Invalid text reads as 1970, so that such a row has expired.
 */
export function timeOf(text: unknown): number {
  const match = TEXT.exec(String(text));
  if (match === null) return 0;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fraction = Math.floor(Number(`0.${match[7] ?? "0"}`) * 1_000 + 1e-9);
  const time = Date.UTC(year, month - 1, day, hour, minute, second, fraction);
  if (Number.isNaN(time)) return 0;
  // Date.UTC accepts a 13th month or an hour 99.
  const isReal = timeText(time).slice(0, 19) === match[0].slice(0, 19);
  return isReal ? time : 0;
}

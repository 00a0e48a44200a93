/** `stored-session/rails`: one sessions table for Rails and Node. */
export { railsFormat } from "./format.ts";
export type { RailsFormatOptions, RailsKeyOptions } from "./format.ts";
export { railsStore } from "./open-store.ts";
export type { RailsDatabase, RailsStoreOptions } from "./open-store.ts";
export { RailsStore, RailsUsersError } from "./store.ts";
export { RailsFlash, railsFlash } from "./flash.ts";
export { railsCsrfToken, verifyRailsCsrfToken } from "./csrf.ts";
export type { RailsForm } from "./csrf.ts";
export { railsRows } from "./rows.ts";
export type { OpenedRailsRow, RailsRow, RefusedRailsRow } from "./rows.ts";
export { afterRailsFormat, importRailsSessions } from "./native.ts";
export type { AfterRailsOptions } from "./native.ts";
export type { ImportOptions, ImportResult } from "./import-options.ts";
export { plainValue } from "./plain.ts";
export { symbolHash } from "./types.ts";
export {
  RubyBigDecimal,
  RubyComplex,
  RubyDate,
  RubyDateTime,
  RubyDuration,
  RubyFloat,
  RubyIndifferentHash,
  RubyIpAddress,
  RubyPathname,
  RubyRange,
  RubyRational,
  RubyRegexp,
  RubySafeBuffer,
  RubyString,
  RubySymbol,
  RubyTime,
  RubyTimeWithZone,
  RubyTimeZone,
  RubyUri,
} from "./types.ts";
export type { RubyDurationUnit, RubyInteger, RubyNumeric } from "./types.ts";

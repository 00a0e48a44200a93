/** What SQLite on Cloudflare Workers has in common: D1 and Durable Objects. */
import { reasonOf } from "../../shared/reason.ts";

/**
 * Phrases of Cloudflare for a database that could not be reached, was reset or has too much to do
 * (https://developers.cloudflare.com/d1/observability/debug-d1/).
 */
const OUTAGE =
  /connection lost|was reset|reset because|to be reset|overloaded|not available|internal error|transient issue/i;

/** The error with the code that its message names: `D1_ERROR: no such table: x: SQLITE_ERROR`. */
export function coded(error: unknown): unknown {
  const message = reasonOf(error);
  const code = /SQLITE_[A-Z]+/.exec(message)?.[0];
  if (code !== undefined) return Object.assign(new Error(message, { cause: error }), { code });
  if (/exceeded maximum DB size|maximum account storage/i.test(message))
    return Object.assign(new Error(message, { cause: error }), { code: "SQLITE_FULL" });
  if (OUTAGE.test(message))
    return Object.assign(new Error(message, { cause: error }), { code: "ECONNRESET" });
  return error;
}

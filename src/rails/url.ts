import { OptionsError } from "../errors.ts";

/** Parameters of Rails URLs about its own pool, which a Node driver would warn about. */
const OF_RAILS =
  /^(?:encoding|collation|pool|max_connections|reconnect|timeout|checkout_timeout|prepared_statements)=/;

/**
 * Converts a database URL of Rails (`DATABASE_URL`) to one of this package: `mysql2://…` and `trilogy://…` become
 * `mysql://…` with mysql2's `ssl` for `ssl_mode`, and `sqlite3:path` becomes the path. Others stay.
 * @throws {OptionsError} it requires TLS in a way that a mysql2 URL cannot express
 */
export function fromRailsUrl(url: string): string {
  const [, scheme, rest = "", query] = /^(mysql2|trilogy|sqlite3):([^?]*)(?:\?(.*))?$/i.exec(url) ?? [];
  if (scheme === undefined) return url;
  if (scheme.toLowerCase() === "sqlite3") return rest.replace(/^\/\/(?:localhost(?=\/))?/i, "");
  const kept =
    query
      ?.split("&")
      .filter((option) => !OF_RAILS.test(option))
      .flatMap(forMysql2) ?? [];
  return `mysql:${rest}${kept.length > 0 ? `?${kept.join("&")}` : ""}`;
}

/**
 * mysql2's `ssl` for Rails' `ssl_mode`. mysql2 has nothing between "never" and "always", so "preferred" uses no TLS.
 */
const SSL_MODES: Readonly<Record<string, object | null>> = {
  disabled: null,
  preferred: null,
  required: { rejectUnauthorized: false },
  verify_ca: { rejectUnauthorized: true },
  verify_identity: { rejectUnauthorized: true, verifyIdentity: true },
};

/** mysql2 only warns about an unknown option and would connect without TLS. */
function forMysql2(option: string): string[] {
  const [name = "", value = ""] = option.split("=");
  if (!/^ssl./i.test(name)) return [option];
  const ssl = /^ssl_mode$/i.test(name) ? SSL_MODES[value.toLowerCase().replace(/^ssl_mode_/, "")] : undefined;
  if (ssl === null) return [];
  if (ssl !== undefined) return [`ssl=${encodeURIComponent(JSON.stringify(ssl))}`];
  throw new OptionsError([
    `mysql2 does not support ${name}=… of a Rails URL. Start the URL with mysql:// and use mysql2's own option, ?ssl={"ca":"…"} with the text of the certificate, or pass a pool.`,
  ]);
}

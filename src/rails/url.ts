import { OptionsError } from "../errors.ts";

/** What Rails says in an address about its own pool, and a driver of Node would warn of. */
const OF_RAILS =
  /^(?:encoding|collation|pool|max_connections|reconnect|timeout|checkout_timeout|prepared_statements)=/;

/**
 * An address of a database as Rails has it (`DATABASE_URL`), in the way of this package: `mysql2://…` and `trilogy://…`
 * as `mysql://…` with mysql2's `ssl` for `ssl_mode`, and `sqlite3:path` as the path. Others as they are.
 * @throws {OptionsError} it demands TLS in a way that mysql2 cannot be told in an address
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

/** mysql2's `ssl` by Rails' `ssl_mode`. mysql2 has nothing between "never" and "always", so "preferred" asks for none. */
const SSL_MODES: Readonly<Record<string, object | null>> = {
  disabled: null,
  preferred: null,
  required: { rejectUnauthorized: false },
  verify_ca: { rejectUnauthorized: true },
  verify_identity: { rejectUnauthorized: true, verifyIdentity: true },
};

/** mysql2 only warns of an option that it does not know, and would connect without TLS. */
function forMysql2(option: string): string[] {
  const [name = "", value = ""] = option.split("=");
  if (!/^ssl./i.test(name)) return [option];
  const ssl = /^ssl_mode$/i.test(name) ? SSL_MODES[value.toLowerCase().replace(/^ssl_mode_/, "")] : undefined;
  if (ssl === null) return [];
  if (ssl !== undefined) return [`ssl=${encodeURIComponent(JSON.stringify(ssl))}`];
  throw new OptionsError([
    `mysql2 does not know ${name}=… of Rails' address. Begin it with mysql:// and write mysql2's own option, ?ssl={"ca":"…"} with the text of the certificate, or give a pool.`,
  ]);
}

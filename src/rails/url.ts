/** What Rails says in an address about its own pool, and a driver of Node would warn of. */
const OF_RAILS =
  /^(?:encoding|collation|pool|max_connections|reconnect|timeout|checkout_timeout|prepared_statements)=/;

/**
 * An address of a database as Rails has it (`DATABASE_URL`), in the way of this package: `mysql2://…` and `trilogy://…`
 * as `mysql://…`, and `sqlite3:path` as the path. Others as they are.
 */
export function fromRailsUrl(url: string): string {
  const [, scheme, rest = "", query] = /^(mysql2|trilogy|sqlite3):([^?]*)(?:\?(.*))?$/i.exec(url) ?? [];
  if (scheme === undefined) return url;
  if (scheme.toLowerCase() === "sqlite3") return rest.replace(/^\/\/(?:localhost(?=\/))?/i, "");
  const kept = query?.split("&").filter((option) => !OF_RAILS.test(option)) ?? [];
  return `mysql:${rest}${kept.length > 0 ? `?${kept.join("&")}` : ""}`;
}

/**
 * Settings of the application's own pool that would change what statements mean or return, for `check` to show, one
 * phrase each. The store's statements override or avoid them.
 */
type Row = Readonly<Record<string, unknown>>;

export function ownersSettingsOf(options: Row, session: Row): string[] {
  const found = ["types", "binary"].filter((name) => options[name]);
  const { search_path: path, usual_path: usual, role } = session;
  if (path !== usual) found.push(`search_path = ${String(path)}`);
  if (role !== "none") found.push(`SET ROLE ${String(role)}`);
  return found;
}

export const SESSION_QUERY: string =
  "SELECT current_setting('search_path') AS search_path, current_setting('role') AS role, " +
  "(SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path') AS usual_path";

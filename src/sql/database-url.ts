/**
 * Returns the problems of a server URL, one sentence each. Never quotes the URL, because it contains a password.
 * Drivers parse it much later and include it in their errors.
 * @param decodes whether the driver rejects a "%" that does not start a percent-encoded character
 */
export function problemsOfUrl(
  url: string,
  store: "postgresStore" | "mysqlStore",
  schemes: readonly string[],
  options: { readonly decodes: boolean },
): string[] {
  const given = `the URL given to ${store}`;
  if (!schemes.some((scheme) => url.startsWith(`${scheme}://`))) {
    const shown = schemes.map((scheme) => `"${scheme}://"`).join(" or ");
    return [`${given} must start with ${shown}. (The URL is not shown, because it may contain a password.)`];
  }
  const parsed = parse(url);
  if (parsed === null || isMisread(parsed)) {
    return [
      `${given} is not a valid URL. (It is not shown, because it may contain a password.) Percent-encode special characters in the user and the password: "/" as %2F, "#" as %23, "?" as %3F, "@" as %40, ":" as %3A, "%" as %25. Expected ${schemes[0]}://user:password@host:port/database.`,
    ];
  }
  if (
    options.decodes &&
    ![parsed.username, parsed.password, parsed.pathname, parsed.hostname].every(decodes)
  ) {
    return [
      `${given} has a "%" that does not start a percent-encoded character. (The URL is not shown, because it may contain a password.) Encode it as %25.`,
    ];
  }
  return [];
}

function parse(url: string): URL | null {
  // A socket directory is passed as ?host=…; such a URL has a user but no host.
  return URL.parse(url) ?? URL.parse(url.replace("@/", "@localhost/"));
}

/**
 * A "/", "?" or "#" in a password ends the host early, so the rest of the password would be read as the path or query.
 */
function isMisread({ pathname, searchParams, hash }: URL): boolean {
  return hash !== "" || pathname.includes("@") || [...searchParams.keys()].some((key) => key.includes("@"));
}

function decodes(part: string): boolean {
  return safelyDecoded(part) !== "" || part === "";
}

function safelyDecoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

/** Removes the user and password of the URL from a driver's message. */
export function withoutSecrets(message: string, url: string): string {
  const { username = "", password = "" } = parse(url) ?? {};
  const secrets = [url, password, safelyDecoded(password), username].filter((secret) => secret !== "");
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, "…"), message);
}

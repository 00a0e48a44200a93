/** The properties of a request that determine whether a browser keeps a Secure cookie. */
export interface Arrival {
  /** Whether the framework considers the request HTTPS. */
  readonly secure: boolean;
  /** The `Host` header. */
  readonly host: string | undefined;
  /** The address of the peer. Undefined if the platform does not expose it. */
  readonly peer: string | undefined;
  header(name: string): string | undefined;
}

type Problem = "plain" | "proxy" | "safari";

const messages: Readonly<Record<Problem, string>> = {
  plain:
    'A Secure session cookie was set on a plain HTTP request, so browsers drop it. Behind an HTTPS proxy, trust the proxy (Express: app.set("trust proxy", 1); stored-session/node: trustProxy). For plain HTTP in development, set cookie: { secure: false }.',
  proxy:
    'A Secure session cookie was set on a request that a proxy on this machine forwarded without HTTPS. If browsers use HTTP to reach the proxy, they drop the cookie: give the proxy a certificate. If they use HTTPS, make the proxy send "X-Forwarded-Proto: https", and trust it (Express: app.set("trust proxy", "loopback"); stored-session/node: trustProxy).',
  safari:
    'A Secure session cookie was set on http://localhost. Safari drops it; Chrome and Firefox keep it. In development, set cookie: { secure: process.env.NODE_ENV !== "development" } and start with NODE_ENV=development, or serve HTTPS.',
};

const warned = new Set<Problem>();

/** Warns once per process for each reason why a browser does not keep the Secure cookie. */
export function warnOfInsecureRequest(setCookie: string, arrival: () => Arrival): void {
  if (warned.size === 3 || !/;\s*secure\b/i.test(setCookie)) return;
  const problem = problemOf(arrival());
  if (problem === null || warned.has(problem)) return;
  warned.add(problem);
  process.emitWarning(messages[problem], { code: "STORED_SESSION_INSECURE_REQUEST" });
}

/** Why the browser does not keep a Secure cookie. Null if it does. */
export function problemOf({ secure, host, peer, header }: Arrival): Problem | null {
  if (secure) return null;
  const isForwardedHttps =
    /^https\b/i.test(header("x-forwarded-proto") ?? "") ||
    /\bproto="?https\b/i.test(header("forwarded") ?? "");
  // An untrusted header only affects a warning.
  if (isForwardedHttps && (peer === undefined || isLocal(peer))) return null;
  const client = header("x-forwarded-for")?.split(",")[0]?.trim();
  const isDirect = isLocal(header("x-forwarded-host") ?? host) && (client === undefined || isLocal(client));
  if (isDirect) return isSafari(header("user-agent")) ? "safari" : null;
  return isLocal(peer) ? "proxy" : "plain";
}

/** Whether a host name or address is this machine: browsers other than Safari accept Secure cookies from it. */
export function isLocal(host: string | undefined): boolean {
  return host !== undefined && local.test(host);
}

const local = /^(?:(?:localhost|.+\.localhost|(?:::ffff:)?127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?|::1)$/i;

/** Safari and other WebKit browsers. */
function isSafari(userAgent = ""): boolean {
  return /AppleWebKit\//.test(userAgent) && !/Chrom(?:e|ium)\/|Android/.test(userAgent);
}

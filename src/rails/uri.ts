/**
 * A URL as Ruby's parser takes it: the URL standard leaves characters as they are that RFC 3986 (appendix A) knows
 * only escaped, such as `|`, `{` and a lone `%`, and Rails could not read the whole session for one of them.
 */
export function uriText({ href }: URL): string {
  const [start = ""] = /^[^:]*:(?:\/\/[^/?#]*)?/.exec(href) ?? [];
  const rest = href.slice(start.length);
  const fragment = rest.indexOf("#");
  const [path, hash] = fragment < 0 ? [rest, ""] : [rest.slice(0, fragment), rest.slice(fragment + 1)];
  return `${escaped(start, HOST)}${escaped(path, PATH)}${fragment < 0 ? "" : "#"}${escaped(hash, PATH)}`;
}

const PATH = /%(?![0-9a-f]{2})|[^\w\-.~:/?@!$&'()*+,;=%]/giu;
/** With the brackets of an IPv6 address. */
const HOST = /%(?![0-9a-f]{2})|[^\w\-.~:/?@!$&'()*+,;=%[\]]/giu;

function escaped(text: string, forbidden: RegExp): string {
  return text.replace(forbidden, encodeURIComponent);
}

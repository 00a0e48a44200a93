/** A `Cookie` header with the cookie of a `Set-Cookie` value in place of those of its name: what a browser would send next. */
export function withCookie(header: string | null | undefined, setCookie: string): string {
  const [pair = "", ...attributes] = setCookie.split(";").map((part) => part.trim());
  const name = pair.slice(0, pair.indexOf("=") + 1);
  const others = (header ?? "")
    .split(";")
    .map((other) => other.trim())
    .filter((other) => other !== "" && !other.startsWith(name));
  const isCleared = attributes.some((attribute) => attribute.toLowerCase() === "max-age=0");
  return [...others, ...(isCleared ? [] : [pair])].join("; ");
}

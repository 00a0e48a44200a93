/** What `redirect()`, `notFound()`, `forbidden()` and `unauthorized()` of next/navigation throw. */
export type ControlFlow =
  | { readonly kind: "redirect"; readonly location: string; readonly status: number }
  | { readonly kind: "status"; readonly status: number };

/** Reads the digest by which Next.js itself recognises these errors. Null for any other value. */
export function controlFlowOf(thrown: unknown): ControlFlow | null {
  const { digest } = Object(thrown) as { digest?: unknown };
  if (typeof digest !== "string") return null;
  const fields = digest.split(";");
  if (fields[0] === "NEXT_HTTP_ERROR_FALLBACK") return { kind: "status", status: Number(fields[1]) };
  if (fields[0] !== "NEXT_REDIRECT") return null;
  // NEXT_REDIRECT;<push or replace>;<URL, which may contain semicolons>;<status>;
  return { kind: "redirect", location: fields.slice(2, -2).join(";"), status: Number(fields.at(-2)) };
}

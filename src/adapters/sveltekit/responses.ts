import type { SvelteKitEvent } from "./events.ts";

/** Whether the client of SvelteKit reads the response as JSON: it navigates, submits a form, or calls a remote function. */
function isOfClient({ isDataRequest, isRemoteRequest, request }: SvelteKitEvent): boolean {
  return isDataRequest || isRemoteRequest === true || isAction(request);
}

function isAction({ headers }: Request): boolean {
  return headers.get("x-sveltekit-action") === "true";
}

/**
 * The response to a `redirect()` that a later hook threw. SvelteKit would respond without the session's cookie.
 * @throws `thrown` if it is anything else
 */
export function redirectOf(event: SvelteKitEvent, thrown: unknown): Response {
  const { status, location } = Object(thrown) as { status?: unknown; location?: unknown };
  if (typeof location !== "string" || typeof status !== "number" || status < 300 || status > 308)
    throw thrown;
  if (isOfClient(event)) return Response.json({ type: "redirect", status, location });
  return new Response(null, { status, headers: { location } });
}

/** An error response as the client of SvelteKit understands it, which shows it on the nearest error page. */
export async function shownBy(event: SvelteKitEvent, response: Response): Promise<Response> {
  if (!isOfClient(event)) return response;
  const { status } = response;
  const error = { status, message: await response.text() };
  return Response.json(isAction(event.request) ? { type: "error", status, error } : error, { status });
}

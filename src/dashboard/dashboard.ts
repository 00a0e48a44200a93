import { assertManager } from "../adapters/assert-manager.ts";
import { FormError, formIn } from "../adapters/form.ts";
import { ConflictError, LimitError, StoreError } from "../errors.ts";
import { recordsOf, type SessionManager } from "../manager.ts";
import { notFound, type Answer } from "./answers.ts";
import { Counts } from "./counts.ts";
import { formBinding, isFromElsewhere, isSameOrigin, isTokenOf, type FormBinding } from "./csrf.ts";
import { Durability } from "./durability.ts";
import { html } from "./html.ts";
import { layout, notice, type Page } from "./layout.ts";
import { Meter } from "./meter.ts";
import {
  checkAccess,
  checkDashboardOptions,
  prefixOf,
  publicPrefixOf,
  type DashboardAccess,
  type DashboardOptions,
} from "./options.ts";
import {
  downloadResponse,
  htmlResponse,
  redirectResponse,
  streamResponse,
  textResponse,
} from "./responses.ts";
import { ID_BYTES } from "./sample.ts";
import { frameOf, may, type View } from "./view.ts";
import { plural } from "../shared/wording.ts";

/** The dashboard as a fetch handler. */
export interface DashboardHandler {
  /** @param context `native` is the request of the framework, for `authorize` */
  (request: Request, context?: { readonly native?: unknown }): Promise<Response>;
  /** Whether the path of a request is one of the dashboard. */
  covers(request: Pick<Request, "url">): boolean;
  /** Patterns of its paths, for routers: the base path, and everything below it. */
  readonly paths: readonly string[];
}

/**
 * A dashboard for operators: who is signed in, what happened, and ending sessions. It is a fetch handler; `toNode`,
 * `toFastify` and `toKoa` mount it in frameworks that do not take one.
 *
 * ```ts
 * const handler = dashboard({
 *   sessions,
 *   basePath: "/admin/sessions",
 *   authorize: async (request) => {
 *     const session = await sessions.load(request.headers.get("cookie"));
 *     return isAdmin(session.user) ? { actor: session.user, may: ["view", "audit", "revoke"], session } : null;
 *   },
 * });
 * ```
 * @throws {TypeError} an option is missing or invalid, above all `authorize`; `sessions` is in Rails mode
 */
export function dashboard(options: DashboardOptions): DashboardHandler {
  checkDashboardOptions(options);
  assertManager(options.sessions);
  const records = recordsOf(options.sessions as SessionManager<never>);
  const { store, format } = records.settings;
  if (format.mint().id.length !== ID_BYTES) {
    throw new TypeError(
      "dashboard: sessions in Rails mode cannot be shown. Its figures are estimates from the ids of rows, which must be hashes, and rows of Rails do not name their user. Mount it over a manager of the native format: see docs/rails.md.",
    );
  }
  const { audit } = store;
  const mount = prefixOf(options.basePath);
  const shared = {
    options,
    sessions: options.sessions,
    records,
    counts: records.recorder === null || audit === undefined ? null : new Counts(audit, () => records.now()),
    meter: new Meter(records.now()),
    durability: new Durability(store, () => records.now()),
    base: publicPrefixOf(options),
  };

  const handle = async (request: Request, context?: { readonly native?: unknown }): Promise<Response> => {
    const path = pathIn(request, mount);
    if (path === null) return textResponse(404, "Not found");
    if (isFromElsewhere(request))
      return textResponse(403, "Another site asked for this page. Open it yourself.");
    const access = await accessOf(options, request, context?.native);
    if (access instanceof Response) return access;
    if (access === null) return textResponse(403, "You are not allowed to see this page.");
    checkAccess(access);
    const binding = formBinding(request, access, options);
    const view: View = {
      ...shared,
      access,
      query: new URL(request.url).searchParams,
      form: new URLSearchParams(),
      formToken: binding.token,
      signal: request.signal,
    };
    const response = await answer(view, request, path, binding);
    if (binding.setCookie !== null) response.headers.append("set-cookie", binding.setCookie);
    return request.method === "HEAD" ? new Response(null, response) : response;
  };
  return Object.assign(handle, {
    covers: (request: Pick<Request, "url">) => pathIn(request, mount) !== null,
    paths: [options.basePath, `${mount}/*`],
  });
}

/** What `authorize` says. It often loads the operator's session, and the store may be what is down. */
async function accessOf(
  { authorize }: DashboardOptions,
  request: Request,
  native: unknown,
): Promise<DashboardAccess | Response | null> {
  try {
    return await authorize(request, { native });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return textResponse(
      503,
      "The session store does not answer. The database is unavailable or overloaded, so nobody can be let in. Reload this page in a moment.",
    );
  }
}

/** The path below the mount; null if it is not below it. */
function pathIn(request: Pick<Request, "url">, base: string): string | null {
  const { pathname } = new URL(request.url);
  if (pathname === base || pathname === `${base}/`) return "/";
  return pathname.startsWith(`${base}/`) ? pathname.slice(base.length) : null;
}

async function answer(view: View, request: Request, path: string, binding: FormBinding): Promise<Response> {
  if (!may(view, "view"))
    return problem(
      view,
      403,
      "Not permitted",
      html`You need the permission <code>view</code> to see this page.`,
    );
  try {
    switch (request.method) {
      case "GET":
      case "HEAD":
        return await show(view, path);
      case "POST":
        return await act(view, request, path, binding);
      default:
        return textResponse(405, "Use GET or POST.", { allow: "GET, HEAD, POST" });
    }
  } catch (error) {
    return failed(view, error);
  }
}

async function show(view: View, path: string): Promise<Response> {
  const { liveFigures, routes } = await import("./routes.ts");
  if (path === "/live") return htmlResponse(200, (await liveFigures(view)).toString());
  const page = Object.hasOwn(routes, path) ? routes[path]?.page : undefined;
  if (page === undefined) return respond(view, notFound);
  return render(view, await page(view));
}

async function act(view: View, request: Request, path: string, binding: FormBinding): Promise<Response> {
  const { routes } = await import("./routes.ts");
  const action = Object.hasOwn(routes, path) ? routes[path]?.action : undefined;
  if (action === undefined) return respond(view, notFound);
  if (!isSameOrigin(request, view.options)) {
    return problem(
      view,
      403,
      "Sent from another site",
      html`This form did not come from a page of the dashboard. Nothing was changed. If it did, a proxy
        changes the <code>Host</code> header: set <code>publicUrl</code> in the options of
        <code>dashboard</code>.`,
    );
  }
  const type = request.headers.get("content-type");
  const form = await formIn(type, (request.body ?? []) as AsyncIterable<Uint8Array>);
  if (!isTokenOf(binding, form.get("token"))) {
    return problem(
      view,
      403,
      "This form has expired",
      html`You have signed in again since it was shown, or it did not come from this browser. Nothing was
      changed. Go back, reload the page and send it again.`,
    );
  }
  return respond(view, await action({ ...view, form }));
}

function respond(view: View, answered: Answer): Response {
  switch (answered.kind) {
    case "redirect":
      return redirectResponse(answered.to);
    case "problem":
      return problem(view, answered.status, answered.title, answered.text);
    case "page":
      return render(view, { title: answered.title, place: null, body: answered.body });
    case "stream":
      return streamResponse(view, answered);
    case "download":
      return downloadResponse(answered);
  }
}

function render(view: View, page: Page): Response {
  return htmlResponse(page.status ?? 200, layout(frameOf(view), page));
}

function problem(view: View, status: number, title: string, text: Page["body"]): Response {
  return render(view, {
    title,
    place: null,
    status,
    body: html`<h1>${title}</h1>
      ${notice("bad", text)}`,
  });
}

/** An unavailable store and what was sent wrongly are pages. Anything else is a fault, and goes to the application. */
function failed(view: View, error: unknown): Response {
  if (error instanceof FormError)
    return problem(
      view,
      error.status,
      "This form was not accepted",
      html`${error.message} Nothing was changed.`,
    );
  if (error instanceof LimitError) {
    return problem(
      view,
      400,
      "This is too long",
      html`What was sent is too long to be looked up or recorded. Nothing was changed. Type the exact id of a
      user, or less text.`,
    );
  }
  if (error instanceof ConflictError) {
    return problem(
      view,
      409,
      "Not finished",
      html`New sessions kept appearing. What was ended stays ended; send the form again.`,
    );
  }
  if (!(error instanceof StoreError)) throw error;
  return problem(
    view,
    503,
    "The session store does not answer",
    html`The database is unavailable or overloaded, so there is nothing to show.
    ${error.changed !== undefined && `${plural(error.changed, "session")} ended before it failed. `}
    ${error.outcome === "unknown" && "What you sent may have taken effect: look before you send it again. "}Reload
    this page in a moment.`,
  );
}

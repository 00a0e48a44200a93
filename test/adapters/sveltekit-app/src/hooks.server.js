import { error, redirect } from "@sveltejs/kit";
import { sequence } from "@sveltejs/kit/hooks";
import { building } from "$app/env";
import { createSessionManager } from "stored-session";
import { svelteKitSessions } from "stored-session/sveltekit";

// The test that runs this server says on globalThis what to create. A build has nothing there.
const sessions = svelteKitSessions(
  () => {
    globalThis.managersCreated.push(new Error().stack);
    return createSessionManager(globalThis.managerOptions);
  },
  {
    building,
    address: (event) => event.request.headers.get("x-real-ip") ?? undefined,
    onError(thrown) {
      if (globalThis.contractApp === undefined) error(thrown.status ?? 500, "of the application");
      const { status, body } = globalThis.contractError(thrown);
      return new Response(body, { status });
    },
  },
);

const before = async ({ event, resolve }) => {
  const response = await resolve(event);
  for (const [name, value] of Object.entries(globalThis.contractHeaders ?? {}))
    if (!response.headers.has(name) || response.status >= 500) response.headers.set(name, value);
  return response;
};

const after = async ({ event, resolve }) => {
  if (building) return resolve(event);
  const { searchParams } = event.url;
  if (searchParams.has("guard")) {
    event.locals.session.flash("notice", "Log in first.");
    redirect(303, "/page");
  }
  if (searchParams.has("hook-throws")) {
    event.locals.session.login("42");
    throw new Error("boom");
  }
  return resolve(event);
};

export const handle = sequence(before, sessions.handle, sessions.handle, after);

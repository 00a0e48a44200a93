import { createSessionManager, generateKey, memoryStore } from "stored-session";
import { dashboard } from "stored-session/dashboard";

const sessions = createSessionManager({
  store: memoryStore(),
  keys: generateKey(),
  audit: true,
});

// The test that runs this server signs users in.
globalThis.sessionsOfDashboard = sessions;

const handler = dashboard({
  sessions,
  basePath: "/admin/sessions",
  authorize: (request) =>
    request.headers.get("x-operator") === "ada"
      ? { actor: "ada", may: ["view", "audit", "revoke", "export"] }
      : null,
});

export const GET = (request) => handler(request);
export const POST = GET;

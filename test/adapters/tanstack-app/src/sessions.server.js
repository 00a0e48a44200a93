import { createSessionManager } from "stored-session";
import { tanStackSessions } from "stored-session/tanstack-start";

// The test that runs this server says on globalThis what to create. A build has nothing there.
export const sessions = tanStackSessions(
  () => {
    globalThis.managersCreated.push(new Error().stack);
    return createSessionManager(globalThis.managerOptions);
  },
  {
    address: (request) => request.headers.get("x-real-ip") ?? undefined,
    onError(thrown) {
      if (globalThis.contractApp === undefined)
        return new Response("of the application", { status: thrown.status ?? 500 });
      const { status, body } = globalThis.contractError(thrown);
      return new Response(body, { status });
    },
  },
);

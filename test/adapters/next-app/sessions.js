import { createSessionManager } from "stored-session";
import { nextSessions } from "stored-session/next";

// The test that runs this server says on globalThis what to create. A build has nothing there.
export const sessions = nextSessions(
  () => {
    globalThis.managersCreated.push(new Error().stack);
    return createSessionManager(globalThis.managerOptions);
  },
  { name: "pages", address: (headers) => headers.get("x-real-ip") ?? undefined },
);

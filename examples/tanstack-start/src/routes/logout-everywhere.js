import { createFileRoute, redirect } from "@tanstack/react-router";
import { sessions } from "../sessions.server.js";

export const Route = createFileRoute("/logout-everywhere")({
  server: {
    handlers: {
      async POST() {
        const session = sessions.session();
        if (session.user !== undefined) await sessions.forUser(session.user).revokeAll({ except: session });
        session.destroy();
        throw redirect({ to: "/", statusCode: 303 });
      },
    },
  },
});

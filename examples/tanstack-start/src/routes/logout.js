import { createFileRoute, redirect } from "@tanstack/react-router";
import { sessions } from "../sessions.server.js";

export const Route = createFileRoute("/logout")({
  server: {
    handlers: {
      POST() {
        sessions.session().destroy();
        throw redirect({ to: "/", statusCode: 303 });
      },
    },
  },
});

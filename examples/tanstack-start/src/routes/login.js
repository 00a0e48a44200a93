import { createFileRoute, redirect } from "@tanstack/react-router";
import { sessions } from "../sessions.server.js";

export const Route = createFileRoute("/login")({
  server: {
    handlers: {
      async POST({ request }) {
        const user = (await request.formData()).get("user");
        if (user !== "ada" && user !== "ben")
          return new Response("Only ada and ben live here.", { status: 403 });
        const session = sessions.session();
        session.login(user);
        session.flash("notice", "Welcome back.");
        throw redirect({ to: "/", statusCode: 303 });
      },
    },
  },
});

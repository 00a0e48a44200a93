import { createFileRoute, redirect } from "@tanstack/react-router";
import { sessions } from "../sessions.server.js";

export const Route = createFileRoute("/add")({
  server: {
    handlers: {
      // Two tabs may add at the same time: `sessions.update` keeps what both added.
      async POST({ request }) {
        const item = String((await request.formData()).get("item"));
        await sessions.update(sessions.session(), (data) => {
          data.cart = [...(data.cart ?? []), item];
        });
        throw redirect({ to: "/", statusCode: 303 });
      },
    },
  },
});

import { ActionError, defineAction } from "astro:actions";
import { sessions } from "../sessions.js";

export const server = {
  login: defineAction({
    accept: "form",
    handler(form, { locals: { session } }) {
      const user = form.get("user");
      if (user !== "ada" && user !== "ben")
        throw new ActionError({ code: "FORBIDDEN", message: "Only ada and ben live here." });
      session.login(user);
      session.flash("notice", "Welcome back.");
    },
  }),
  // Two tabs may add at the same time: `sessions.update` keeps what both added.
  add: defineAction({
    accept: "form",
    async handler(form, { locals: { session } }) {
      const item = String(form.get("item"));
      await sessions.update(session, (data) => {
        data.cart = [...(data.cart ?? []), item];
      });
    },
  }),
};

import { defineAction } from "astro:actions";

export const server = {
  login: defineAction({
    accept: "form",
    handler(_form, { locals: { session } }) {
      session.login("42");
      session.flash("notice", "Welcome back.");
      return "logged in";
    },
  }),
};

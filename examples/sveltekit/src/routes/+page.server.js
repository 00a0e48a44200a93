import { fail, redirect } from "@sveltejs/kit";
import { sessions } from "../sessions.server.js";

/** @type {import("@sveltejs/kit").ServerLoad} */
export function load({ locals: { session } }) {
  session.data.visits = (session.data.visits ?? 0) + 1;
  return {
    user: session.user ?? "nobody",
    visits: session.data.visits,
    cart: session.data.cart ?? [],
    notice: session.takeFlash("notice") ?? "",
  };
}

/** @type {import("@sveltejs/kit").Actions} */
export const actions = {
  async login({ locals: { session }, request }) {
    const user = (await request.formData()).get("user");
    if (user !== "ada" && user !== "ben") return fail(403, { message: "Only ada and ben live here." });
    session.login(user);
    session.flash("notice", "Welcome back.");
    redirect(303, "/");
  },
  // Two tabs may add at the same time: `sessions.update` keeps what both added.
  async add({ locals: { session }, request }) {
    const item = String((await request.formData()).get("item"));
    await sessions.update(session, (data) => {
      data.cart = [...(data.cart ?? []), item];
    });
    redirect(303, "/");
  },
  logout({ locals: { session } }) {
    session.destroy();
    redirect(303, "/");
  },
  async "logout-everywhere"({ locals: { session } }) {
    if (session.user !== undefined) await sessions.forUser(session.user).revokeAll({ except: session });
    session.destroy();
    redirect(303, "/");
  },
};

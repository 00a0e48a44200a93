import { fail, redirect } from "@sveltejs/kit";

/** @type {import("@sveltejs/kit").ServerLoad} */
export function load({ locals }) {
  const { session } = locals;
  session.data.visits = (session.data.visits ?? 0) + 1;
  return { user: session.user, visits: session.data.visits, notice: session.takeFlash("notice") };
}

/** @type {import("@sveltejs/kit").Actions} */
export const actions = {
  async login({ locals, request }) {
    const user = (await request.formData()).get("user");
    if (user !== "ada" && user !== "ben") return fail(403, { message: "Only ada and ben live here." });
    locals.session.login(user);
    locals.session.flash("notice", "Welcome back.");
    redirect(303, "/");
  },
  logout({ locals }) {
    locals.session.destroy();
    redirect(303, "/");
  },
};

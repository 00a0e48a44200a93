import { error, redirect } from "@sveltejs/kit";

export function load({ locals: { session }, url, setHeaders, cookies }) {
  const { searchParams } = url;
  if (searchParams.has("begin")) session.data.begun = true;
  if (searchParams.has("public"))
    setHeaders({ "cache-control": "public, max-age=60", vary: "Accept-Language" });
  if (searchParams.has("theme")) cookies.set("theme", "dark", { path: "/" });
  if (searchParams.has("missing")) error(404, "nowhere");
  const { user, data } = session;
  const notice = session.takeFlash("notice") ?? "none";
  return {
    seen: JSON.stringify({ user: user ?? null, data, notice }),
    later: searchParams.has("late") ? streamed(session) : null,
  };
}

async function streamed(session) {
  await globalThis.streaming;
  session.data.late = true;
  return "streamed";
}

export const actions = {
  login({ locals: { session } }) {
    session.login("42");
    session.flash("notice", "Welcome back.");
    redirect(303, "/page");
  },
  loginThenError({ locals: { session } }) {
    session.login("42");
    error(418, "teapot");
  },
  loginThenThrow({ locals: { session } }) {
    session.login("42");
    throw new Error("boom");
  },
};

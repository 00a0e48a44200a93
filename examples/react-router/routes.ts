import { createElement as h } from "react";
import {
  Form,
  redirect,
  useLoaderData,
  type ActionFunctionArgs,
  type LoaderFunctionArgs,
  type RouteObject,
} from "react-router";
import { data } from "react-router";
import { createSessionManager, generateKey } from "stored-session";
import { createStoredSessionStorage } from "stored-session/react-router";
import { sqliteStore } from "stored-session/sqlite";

export const sessions = createSessionManager<{ visits: number }>({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
});

const { getSession, commitHeaders, destroySession } = createStoredSessionStorage<
  { visits: number },
  { notice: string }
>({ sessions });

async function loader({ request }: LoaderFunctionArgs) {
  const session = await getSession(request.headers.get("Cookie"));
  const visits = (session.get("visits") ?? 0) + 1;
  session.set("visits", visits);
  const { user } = session.stored;
  const notice = session.get("notice");
  return data({ user, visits, notice }, { headers: await commitHeaders(session) });
}

function Home() {
  const { user, visits, notice } = useLoaderData<typeof loader>();
  return h(
    "main",
    null,
    h("p", null, `Hello ${user ?? "nobody"}. Visits: ${visits}. ${notice ?? ""}`),
    user
      ? h(Form, { method: "post", action: "/logout" }, h("button", null, "Log out"))
      : h(
          Form,
          { method: "post", action: "/login" },
          h("button", { name: "user", value: "ada" }, "Log in as Ada"),
        ),
  );
}

async function login({ request }: ActionFunctionArgs) {
  const user = (await request.formData()).get("user");
  if (user !== "ada" && user !== "ben") throw new Response("Only ada and ben live here.", { status: 403 });
  const session = await getSession(request.headers.get("Cookie"));
  session.stored.login(user);
  session.flash("notice", "Welcome back.");
  return redirect("/", { headers: await commitHeaders(session) });
}

async function logout({ request }: ActionFunctionArgs) {
  const session = await getSession(request.headers.get("Cookie"));
  return redirect("/", { headers: { "Set-Cookie": await destroySession(session) } });
}

export const routes: RouteObject[] = [
  { path: "/", loader, Component: Home },
  { path: "/login", action: login },
  { path: "/logout", action: logout },
];

import { createFileRoute, notFound, redirect } from "@tanstack/react-router";
import { createServerFn } from "@tanstack/react-start";
import { setCookie, setResponseHeader } from "@tanstack/react-start/server";
import { sessions } from "../sessions.server.js";

const visit = createServerFn()
  .validator((search) => search)
  .handler(async ({ data: search }) => {
    const session = sessions.session();
    if (search.begin) session.data.begun = true;
    if (search.login) session.login("42");
    if (search.public) setResponseHeader("cache-control", "public, max-age=60");
    if (search.theme) setCookie("theme", "dark", { path: "/" });
    if (search.redirect) throw redirect({ to: "/page" });
    if (search.missing) throw notFound();
    if (search.throw) throw new Error("boom");
    const { user = null, data } = session;
    return JSON.stringify({ user, data, notice: session.takeFlash("notice") ?? "none" });
  });

const login = createServerFn({ method: "POST" }).handler(() => {
  const session = sessions.session();
  session.login("42");
  session.flash("notice", "Welcome back.");
  throw redirect({ to: "/page" });
});

const late = createServerFn().handler(async () => {
  const session = sessions.session();
  await globalThis.streaming;
  session.data.late = true;
  return "streamed";
});

export const Route = createFileRoute("/page")({
  loaderDeps: ({ search }) => search,
  loader: async ({ deps }) => ({ seen: await visit({ data: deps }), late: deps.late ? late() : null }),
  component: Page,
});

function Page() {
  const { seen } = Route.useLoaderData();
  return (
    <>
      <pre>{seen}</pre>
      <form action={login.url} method="post" encType="multipart/form-data" />
    </>
  );
}

import { createFileRoute } from "@tanstack/react-router";
import { createServerFn } from "@tanstack/react-start";
import { sessions } from "../sessions.server.js";

const visit = createServerFn().handler(() => {
  const session = sessions.session();
  session.data.visits = (session.data.visits ?? 0) + 1;
  return {
    user: session.user ?? "nobody",
    visits: session.data.visits,
    cart: session.data.cart ?? [],
    notice: session.takeFlash("notice") ?? "",
  };
});

export const Route = createFileRoute("/")({ loader: () => visit(), component: Home });

function Home() {
  const { user, visits, cart, notice } = Route.useLoaderData();
  return (
    <main>
      <p>{`Hello ${user}. Visits: ${visits}. In your cart: ${cart.join(", ") || "nothing"}. ${notice}`}</p>
      <form method="post" action="/add">
        <button name="item" value="tea">
          Add tea
        </button>
      </form>
      {user === "nobody" ? (
        <form method="post" action="/login">
          <button name="user" value="ada">
            Log in as Ada
          </button>
        </form>
      ) : (
        <>
          <form method="post" action="/logout">
            <button>Log out</button>
          </form>
          <form method="post" action="/logout-everywhere">
            <button>Log out everywhere</button>
          </form>
        </>
      )}
    </main>
  );
}

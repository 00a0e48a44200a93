import { Suspense } from "react";
import { addToCart, login, logout, logoutEverywhere } from "../lib/actions.js";
import { sessions } from "../lib/sessions.js";

export default function Page() {
  return (
    <main>
      <h1>A small shop</h1>
      <Suspense fallback={<p>One moment.</p>}>
        <Visitor />
      </Suspense>
    </main>
  );
}

async function Visitor() {
  const { user, data, takeFlash } = await sessions.auth();
  const notice = await takeFlash("notice");
  return (
    <>
      <p>
        {`Hello ${user ?? "nobody"}. Visits: ${data.visits ?? 0}. In your cart: ${(data.cart ?? []).join(", ") || "nothing"}.`}
      </p>
      {notice && <p role="status">{notice}</p>}
      <form id="add" action={addToCart}>
        <button name="item" value="tea">
          Add tea
        </button>
      </form>
      {user === undefined ? (
        <form id="login" action={login}>
          <button name="user" value="ada">
            Log in as Ada
          </button>
        </form>
      ) : (
        <>
          <form id="logout" action={logout}>
            <button>Log out</button>
          </form>
          <form id="logout-everywhere" action={logoutEverywhere}>
            <button>Log out everywhere</button>
          </form>
        </>
      )}
    </>
  );
}

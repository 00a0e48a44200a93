import router from "@adonisjs/core/services/router";
import { sessions } from "../config/session.ts";

const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

router.get("/", ({ session, response }) => {
  const user = session.get("user") as string | undefined;
  const cart = Object.keys(session.all()).filter((key) => key.startsWith("cart:"));
  const items = cart.map((key) => key.slice("cart:".length)).join(", ");
  response.header("content-type", "text/html");
  return `<!doctype html><title>AdonisJS</title>
    <p>Hello ${user ?? "nobody"}. In your cart: ${escaped(items || "nothing")}. ${session.flashMessages.get("notice", "")}</p>
    <form method="post" action="/add"><button name="item" value="tea">Add tea</button></form>
    ${
      user === undefined
        ? '<form method="post" action="/login"><button name="user" value="ada">Log in as Ada</button></form>'
        : '<form method="post" action="/logout"><button>Log out</button></form><form method="post" action="/logout-everywhere"><button>Log out everywhere</button></form>'
    }`;
});

router.post("/login", async ({ request, response, session }) => {
  const user = String(request.input("user"));
  if (user !== "ada" && user !== "ben") return response.status(403).send("Only ada and ben live here.");
  session.regenerate();
  session.put("user", user);
  session.flash("notice", "Welcome back.");
  await session.tag(user);
  return response.redirect("/");
});

// A key for each item: changes of other keys by parallel requests are kept.
router.post("/add", ({ request, response, session }) => {
  session.put(`cart:${String(request.input("item"))}`, true);
  return response.redirect("/");
});

router.post("/logout", ({ response, session }) => {
  session.clear();
  return response.redirect("/");
});

router.post("/logout-everywhere", async ({ response, session }) => {
  const user = session.get("user") as string | undefined;
  session.clear();
  if (user !== undefined) await sessions.forUser(user).revokeAll();
  return response.redirect("/");
});

import { fileURLToPath } from "node:url";
import express, { type Express, type NextFunction, type Request, type Response } from "express";
import type { SessionManager } from "stored-session";
import { session } from "stored-session/express";
import { add, take } from "./basket.ts";
import { teaOf } from "./goods.ts";
import type { Html } from "./html.ts";
import { databasePage, noRowPage } from "./pages/database.ts";
import { devicesLogInPage, devicesPage } from "./pages/devices.ts";
import { errorPage, notFoundPage } from "./pages/error.ts";
import { operators } from "./operators.ts";
import { layout } from "./pages/layout.ts";
import { loginPage } from "./pages/login.ts";
import { shopPage } from "./pages/shop.ts";
import { thiefPage } from "./pages/thief.ts";
import { readRow } from "./row.ts";

const publicFolder = fileURLToPath(new URL("public", import.meta.url));

export interface ShopOptions {
  /** The database of the sessions, for the page that shows what it holds. */
  readonly file: string;
  /** Whether sessions are bound to devices: adds the page that shows what a thief of cookies gets. */
  readonly isBinding?: boolean;
}

export function shop(sessions: SessionManager, { file, isBinding = false }: ShopOptions): Express {
  const app = express();
  app.disable("x-powered-by");
  app.use(operators(sessions));
  app.use(protect);
  app.use(express.static(publicFolder));
  app.use(session(sessions));
  app.use(express.urlencoded({ extended: false, limit: "4kb" }));

  app.get("/", (req, res) => {
    const { basket = new Map(), basketSince } = req.session.data;
    show(req, res, "Shop", shopPage(basket, basketSince, req.session.isNew));
  });

  app.post("/basket/add", async (req, res) => {
    const tea = teaOf(req.body?.sku);
    if (tea === undefined) return showNotFound(req, res);
    // Read and written in one step, so that two quick clicks are two teas.
    await sessions.update(req.session, (data) => {
      data.basketSince ??= new Date();
      data.basket ??= new Map();
      add(data.basket, tea, new Date());
    });
    req.session.flash("notice", `${tea.name} is in your basket.`);
    res.redirect(303, "/");
  });

  app.post("/basket/take", async (req, res) => {
    const sku = String(req.body?.sku);
    await sessions.update(req.session, ({ basket }) => {
      if (basket !== undefined) take(basket, sku);
    });
    res.redirect(303, "/");
  });

  app.get("/login", (req, res) => {
    show(req, res, "Log in", loginPage({}));
  });

  app.post("/login", (req, res) => {
    const name = String(req.body?.name ?? "").trim();
    if (name === "" || name.length > 40 || !name.isWellFormed()) {
      res.status(422);
      return show(req, res, "Log in", loginPage({ name, problem: "A name has 1 to 40 characters." }));
    }
    req.session.login(name);
    req.session.flash("notice", `Welcome, ${name}. Your session has a new id, the old one is dead.`);
    res.redirect(303, "/");
  });

  app.post("/logout", (req, res) => {
    req.session.destroy();
    res.redirect(303, "/");
  });

  app.get("/devices", async (req, res) => {
    const { user } = req.session;
    if (user === undefined) return show(req, res, "Your devices", devicesLogInPage());
    const devices = await sessions.forUser(user).list({ current: req.session });
    show(req, res, "Your devices", devicesPage(devices));
  });

  app.post("/devices/sign-out", async (req, res) => {
    const { user } = req.session;
    if (user === undefined) return res.redirect(303, "/login");
    const revoked = await sessions.forUser(user).revoke(String(req.body?.handle));
    req.session.flash(
      "notice",
      revoked ? "That device is signed out." : "That device was signed out already.",
    );
    res.redirect(303, "/devices");
  });

  app.post("/devices/sign-out-others", async (req, res) => {
    const { user } = req.session;
    if (user === undefined) return res.redirect(303, "/login");
    const count = await sessions.forUser(user).revokeAll({ except: req.session });
    req.session.flash("notice", `Signed out ${count === 1 ? "one device" : `${count} devices`}.`);
    res.redirect(303, "/devices");
  });

  app.get("/database", async (req, res) => {
    const { isNew, handle } = req.session;
    const row = isNew ? undefined : readRow(file, handle);
    const body =
      row === undefined ? noRowPage() : databasePage(row, req.session, await sessions.find(handle));
    show(req, res, "What the database holds", body);
  });

  if (isBinding) {
    app.get("/thief", async (req, res) => {
      const cookies = (req.headers.cookie ?? "").split("; ").map((pair) => {
        const [name = "", value = ""] = pair.split("=");
        return { name, value };
      });
      const own = cookies.find(({ name }) => name === "__Host-session");
      const thief = await sessions.load(own && `${own.name}=${own.value}`);
      const { user, deviceBound: bound } = req.session;
      if (user === undefined) return res.redirect(303, "/login");
      show(req, res, "A thief’s view", thiefPage({ cookies, bound, seen: thief.user }));
    });
  }

  app.use(showNotFound);
  app.use(showError);
  return app;
}

function show(req: Request, res: Response, title: string, body: Html): void {
  // Without a session where the store failed to load one.
  const visit = req.session as Request["session"] | undefined;
  const notice = visit?.takeFlash("notice");
  res.type("html").send(layout({ title, path: req.path, user: visit?.user, notice, body }));
}

function showNotFound(req: Request, res: Response): void {
  res.status(404);
  show(req, res, "Not found", notFoundPage());
}

function showError(error: unknown, req: Request, res: Response, next: NextFunction): void {
  if (res.headersSent) return next(error);
  const { status = 500, code } = error as { status?: number; code?: string };
  if (status >= 500) console.error(error);
  res.status(status).type("html");
  res.send(layout({ title: "Error", path: req.path, user: undefined, body: errorPage(status, code) }));
}

/**
 * Forms are posts, and the cookie is SameSite=Lax, so another site cannot send them; another port of localhost is
 * the same site, but not the same origin.
 */
function protect(req: Request, res: Response, next: NextFunction): void {
  res.set({
    "Content-Security-Policy":
      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
  });
  const origin = req.get("sec-fetch-site");
  if (req.method === "POST" && origin !== undefined && origin !== "same-origin" && origin !== "none") {
    res.status(403).type("text").send("This form was sent by another site.\n");
  } else next();
}

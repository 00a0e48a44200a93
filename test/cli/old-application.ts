/** An application with express-session, before and after its store is replaced. */
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import express from "express";

// It comes without types.
const expressSession = createRequire(import.meta.url)("express-session");
export type Store = object;
const secret = "a secret that the application has";

/** The same application, whatever store it has. */
export async function serve(store: Store): Promise<{ url: string; close(): Promise<void> }> {
  const app = express();
  app.use(
    expressSession({ store, secret, resave: false, saveUninitialized: false, cookie: { maxAge: 3_600_000 } }),
  );
  app.get("/login/:user", (request, response) => {
    const session = request.session as unknown as Record<string, unknown>;
    session["passport"] = { user: request.params["user"] };
    session["cart"] = [{ sku: "Tee für zwei", count: 2 }];
    response.send("in");
  });
  app.get("/", (request, response) => {
    const session = request.session as unknown as { passport?: { user: string }; cart?: unknown };
    response.json({ user: session.passport?.user ?? null, cart: session.cart ?? null });
  });
  const server: Server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

export async function logIn(store: Store, users: string[]): Promise<string[]> {
  const { url, close } = await serve(store);
  const cookies: string[] = [];
  for (const user of users) {
    const response = await fetch(`${url}/login/${user}`);
    cookies.push(response.headers.getSetCookie()[0]!.split(";")[0]!);
  }
  await close();
  return cookies;
}

/** `connect.sid=s%3A<id>.<signature>` */
export function idIn(cookie: string): string {
  return decodeURIComponent(cookie.split("=")[1]!).slice(2).split(".")[0]!;
}

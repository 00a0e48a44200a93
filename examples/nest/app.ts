import { Body, Controller, Get, Header, HttpException, Module, Post, Redirect, Req } from "@nestjs/common";
import { createSessionManager, generateKey, type Session } from "stored-session";
import { sqliteStore } from "stored-session/sqlite";

export const sessions = createSessionManager({
  store: sqliteStore(process.env["DATABASE"] ?? "sessions.sqlite3"),
  keys: process.env["STORED_SESSION_KEYS"] ?? generateKey(), // set them, or every start logs everybody out
  cookie: { secure: process.env["NODE_ENV"] !== "development" }, // Safari drops Secure cookies of http://localhost
});

declare module "stored-session" {
  interface SessionData {
    visits: number;
  }
}

/** What a controller needs of a request, under Express and Fastify alike. */
interface Visit {
  session: Session;
}

@Controller()
export class ShopController {
  @Get()
  @Header("content-type", "text/html; charset=utf-8")
  home(@Req() { session }: Visit): string {
    const { data, user } = session;
    data.visits = (data.visits ?? 0) + 1;
    const form = user
      ? `<form method="post" action="/logout"><button>Log out</button></form>`
      : `<form method="post" action="/login"><button name="user" value="ada">Log in as Ada</button></form>`;
    const notice = String(session.takeFlash("notice") ?? "");
    return `<!doctype html><title>Nest</title><p>Hello ${user ?? "nobody"}. Visits: ${data.visits}. ${notice}</p>${form}`;
  }

  @Post("login")
  @Redirect("/", 303)
  login(@Req() { session }: Visit, @Body("user") user: string): void {
    if (user !== "ada" && user !== "ben") throw new HttpException("Only ada and ben live here.", 403);
    session.login(user);
    session.flash("notice", "Welcome back.");
  }

  @Post("logout")
  @Redirect("/", 303)
  logout(@Req() { session }: Visit): void {
    session.destroy();
  }
}

// oxlint-disable-next-line typescript/no-extraneous-class -- Nest asks for one
@Module({ controllers: [ShopController] })
export class AppModule {}

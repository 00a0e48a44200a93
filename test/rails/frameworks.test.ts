import { serve } from "@hono/node-server";
import express from "express";
import { Hono } from "hono";
import type { Server } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { session as expressSession } from "../../src/adapters/express.ts";
import { session as honoSession, type SessionEnv } from "../../src/adapters/hono.ts";
import { createSessionManager, type SessionManager } from "../../src/index.ts";
import { railsFlash, railsFormat } from "../../src/rails/index.ts";
import { running } from "../adapters/server.ts";
import { counted } from "../session/doubles.ts";
import { Gem, railsKeys, valueOf } from "./gem.ts";
import { createTable, databases, type RailsTable } from "./tables.ts";

interface Data {
  user_id?: number;
  cart: string[];
}
type Sessions = SessionManager<Data>;

const format = railsFormat({
  ...railsKeys,
  userOf: (data) => (data["user_id"] === undefined ? undefined : String(data["user_id"])),
});

const frameworks: Record<string, (sessions: Sessions) => Server> = {
  express(sessions) {
    const app = express();
    app.use(expressSession(sessions));
    app.get("/", (request, response) => {
      const { data, user } = request.session as never as { data: Data; user?: string };
      response.json({ user: user ?? null, cart: data.cart ?? [], notice: railsFlash(data as never).notice });
    });
    app.get("/public", (_request, response) => void response.send("no session"));
    app.post("/cart/:item", (request, response) => {
      const { data } = request.session as never as { data: Data };
      data.cart = [...(data.cart ?? []), request.params.item];
      railsFlash(data as never).notice = "Added";
      response.redirect("/");
    });
    app.post("/login", (request, response) => {
      request.session.login("42");
      (request.session.data as Partial<Data>).user_id = 42;
      response.end();
    });
    app.post("/logout", (request, response) => {
      request.session.destroy();
      response.end();
    });
    return app.listen(0, "127.0.0.1");
  },
  hono(sessions) {
    const app = new Hono<SessionEnv<Data>>();
    app.use(honoSession(sessions));
    app.get("/", (c) => {
      const { data, user } = c.var.session;
      return c.json({ user: user ?? null, cart: data.cart ?? [], notice: railsFlash(data as never).notice });
    });
    app.get("/public", (c) => c.text("no session"));
    app.post("/cart/:item", (c) => {
      const { data } = c.var.session;
      data.cart = [...(data.cart ?? []), c.req.param("item")];
      railsFlash(data as never).notice = "Added";
      return c.redirect("/");
    });
    app.post("/login", (c) => {
      c.var.session.login("42");
      c.var.session.data.user_id = 42;
      return c.body(null);
    });
    app.post("/logout", (c) => {
      c.var.session.destroy();
      return c.body(null);
    });
    return serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
  },
};

const cases = databases.flatMap((database) =>
  Object.keys(frameworks).map((name) => [name, database.name, database] as const),
);
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

describe.each(cases)("%s over the gem's table in %s", (name, _name, database) => {
  test("Rails and Node over HTTP → read and write the same sessions (promises 1 to 4)", async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error & { code?: string }): void => void warnings.push(warning.code ?? "");
    process.on("warning", onWarning);
    closing.push(async () => process.off("warning", onWarning));
    const held: RailsTable = await createTable(database);
    const { store, total } = counted(held.store);
    const sessions = createSessionManager<Data>({
      store,
      format,
      cookie: { name: "_my_app_session", secure: false, persist: false },
    });
    const { url, close } = await running(frameworks[name]!(sessions));
    closing.push(close, () => held.drop());
    const gem = new Gem(held, database.kind, Date.now);
    let cookie = "";
    const visit = async (path: string, method = "GET"): Promise<Response> => {
      const response = await fetch(url + path, { method, headers: { cookie }, redirect: "manual" });
      const [set] = response.headers.getSetCookie();
      if (set !== undefined) cookie = set.split(";")[0]!;
      return response;
    };

    // nobody: nothing
    cookie = "_my_app_session=not-of-rails";
    expect(await (await visit("/")).json()).toMatchObject({ user: null, cart: [] });
    await visit("/public");
    expect(total()).toBe(0);

    // a session begun in Node, with a cookie that Rails takes
    cookie = "";
    const begun = await visit("/cart/tea", "POST");
    expect(begun.status).toBe(302);
    expect(cookie).toMatch(/^_my_app_session=[0-9a-f]{32}$/);
    const id = valueOf(cookie);
    expect(await gem.load(id)).toEqual({
      cart: ["tea"],
      flash: { discard: [], flashes: { notice: "Added" } },
    });
    // Rails sweeps the flash, logs the user in and writes
    await gem.write(id, { cart: ["tea"], user_id: 7, flash: { discard: [], flashes: { notice: "Hi" } } });
    expect(await (await visit("/")).json()).toEqual({ user: "7", cart: ["tea"], notice: "Hi" });
    expect(await (await visit("/")).json()).toEqual({ user: "7", cart: ["tea"] });
    expect(await gem.load(id)).toEqual({ cart: ["tea"], user_id: 7 });

    // parallel requests of both
    await Promise.all([visit("/cart/milk", "POST"), visit("/public"), visit("/")]);
    expect(((await gem.load(id)) as never as Data).cart).toEqual(["tea", "milk"]);

    // a login in Node changes the id; another user's things do not cross over
    await visit("/login", "POST");
    const second = valueOf(cookie);
    expect(second).not.toBe(id);
    expect(await gem.has(id)).toBe(false);
    expect(await gem.load(second)).toEqual({ user_id: 42 });

    // log-out in Rails ends it here, log-out here ends it in Rails
    await visit("/logout", "POST");
    expect(await gem.has(second)).toBe(false);
    cookie = "";
    await visit("/cart/tea", "POST");
    await gem.delete(valueOf(cookie));
    expect(await (await visit("/")).json()).toEqual({ user: null, cart: [] });
    expect(await gem.has(valueOf(cookie))).toBe(false);
    expect(warnings).not.toContain("STORED_SESSION_CHANGED_AFTER_RESPONSE");
  });
});

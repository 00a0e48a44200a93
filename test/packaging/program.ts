/** What a user writes, wrong lines marked: each adapter's session is typed by schema, argument or augmentation. */
export const program = `
import Hapi from "@hapi/hapi";
import type { AuthConfig } from "@auth/core";
import type { Adapter } from "@auth/core/adapters";
import { betterAuth } from "better-auth";
import { Elysia } from "elysia";
import express from "express";
import fastify from "fastify";
import { H3, type H3Event } from "h3";
import { createApp, defineEventHandler } from "h3-v1";
import { Hono } from "hono";
import Koa from "koa";
import { createServer } from "node:http";
import type { NextProxy, NextRequest } from "next/server.js";
import type { SessionStorage } from "react-router";
import * as v from "valibot";
import { z } from "zod";
import { createSessionManager, generateKey, memoryStore, type Complete, type Session, type SessionManager } from "stored-session";
import { storedSession as elysiaSession } from "stored-session/elysia";
import { astroSessions } from "stored-session/astro";
import { session as expressSession, sessionOf } from "stored-session/express";
import { StoredSessionStore } from "stored-session/express-session";
import { sessionOf as fastifySessionOf, storedSession } from "stored-session/fastify";
import { fetchSessions } from "stored-session/fetch";
import { sessionOf as hapiSessionOf, storedSession as hapiSession } from "stored-session/hapi";
import { session as honoSession, type SessionEnv } from "stored-session/hono";
import { session as koaSession, sessionOf as koaSessionOf } from "stored-session/koa";
import { StoredSessionKoaStore } from "stored-session/koa-session";
import { nextSessions } from "stored-session/next";
import { sessionOf as h3SessionOf, storedSession as h3Session, useStoredSession } from "stored-session/h3";
import { storedSessionStorage } from "stored-session/better-auth";
import { storedSessionAdapter, withStoreErrors } from "stored-session/authjs";
import { attachSession, withSession } from "stored-session/node";
import { createStoredSessionStorage } from "stored-session/react-router";
import { svelteKitSessions } from "stored-session/sveltekit";
import { tanStackSessions } from "stored-session/tanstack-start";

declare module "stored-session" {
  interface SessionData {
    theme: "light" | "dark";
  }
}
interface Cart {
  cart: { sku: string; at: Date }[];
}

const options = { store: memoryStore(), keys: generateKey() };
const everywhere = createSessionManager(options); // the augmented SessionData
const carts = createSessionManager<Cart>(options); // a type argument
const counted = createSessionManager({ ...options, schema: v.object({ count: v.number() }) }); // a schema
// @ts-expect-error no such option
createSessionManager({ ...options, keyz: "" });

const app = express();
app.use(expressSession(everywhere), expressSession(carts, { property: "basket" }));
// @ts-expect-error a manager, not its options
app.use(expressSession(options));
app.get("/", (request, response) => {
  request.session.data.theme = "dark";
  // @ts-expect-error no such theme
  request.session.data.theme = "blue";
  // @ts-expect-error no such value
  request.session.data.cart = [];
  // @ts-expect-error it may not be there
  request.session.data.theme.length;
  const at: Date | undefined = sessionOf(carts, request).data.cart?.[0]?.at;
  // @ts-expect-error a number
  sessionOf(counted, request).data.count = "1";
  // @ts-expect-error a user's id
  request.session.login(undefined);
  response.json(at);
});

const server = fastify();
await server.register(storedSession, { sessions: everywhere });
// @ts-expect-error the manager is missing
await server.register(storedSession, {});
server.get("/", (request) => {
  request.session.data.theme = "dark";
  // @ts-expect-error no such theme
  request.session.data.theme = "blue";
  // @ts-expect-error a number
  fastifySessionOf(counted, request).data.count = "1";
});

const koa = new Koa();
koa.use(koaSession(everywhere));
koa.use((ctx) => {
  ctx.session.data.theme = "dark";
  // @ts-expect-error no such theme
  ctx.session.data.theme = "blue";
  // @ts-expect-error a number
  koaSessionOf(counted, ctx).data.count = "1";
});

new Hono().use(honoSession(counted)).get("/", (c) => {
  c.var.session.data.count = 1;
  // @ts-expect-error a number
  c.var.session.data.count = "1";
  return c.text("");
});
new Hono<SessionEnv<Cart>>().get("/", (c) => {
  // @ts-expect-error a list
  c.var.session.data.cart = 1;
  return c.text("");
});

const fetched = fetchSessions(carts);
const session = await fetched.load(new Request("http://localhost/"));
session.data.cart = [{ sku: "tea", at: new Date() }];
// @ts-expect-error a Date
session.data.cart = [{ sku: "tea", at: "now" }];
const response: Response = await fetched.commit(session, new Response());
const view = await fetched.view(new Headers());
// @ts-expect-error only to look at
view.data.cart = [];
// @ts-expect-error a session of another manager
await fetchSessions(counted).commit(session, response);

new H3().use(h3Session(counted, { address: (event: H3Event) => event.req.headers.get("x-real-ip") ?? undefined })).get("/", async (event) => {
  const session = await useStoredSession<{ count: number }>(event);
  await session.update({ count: 1 });
  // @ts-expect-error a number
  await session.update({ count: "1" });
  // @ts-expect-error a number
  h3SessionOf(counted, event).data.count = "1";
  return session.id;
});
createApp().use(h3Session(counted, { trustProxy: 1 })).use(defineEventHandler(async (event) => (await useStoredSession(event)).id));

betterAuth({ secondaryStorage: storedSessionStorage(counted) });
// @ts-expect-error a manager, not its options
betterAuth({ secondaryStorage: storedSessionStorage(options) });

declare const users: Adapter;
const authjs: AuthConfig = { adapter: storedSessionAdapter(counted, users), providers: [] };
// @ts-expect-error a manager, not its options
storedSessionAdapter(options, users);
const looked: Date | undefined = await withStoreErrors(async () => (await storedSessionAdapter(counted, users).getSessionAndUser(""))?.user.emailVerified ?? undefined);


new Elysia().use(elysiaSession(counted)).get("/", ({ session }) => {
  session.data.count = 1;
  // @ts-expect-error a number
  session.data.count = "1";
  return session.user ?? "";
});

const hapi = Hapi.server();
await hapi.register({ plugin: hapiSession, options: { sessions: counted, trustProxy: 1 } });
// @ts-expect-error a manager, not its options
await hapi.register({ plugin: hapiSession, options: { sessions: options } });
hapi.auth.strategy("login", "stored-session", { redirectTo: "/login" });
hapi.route({
  method: "GET",
  path: "/",
  handler(request) {
    hapiSessionOf(counted, request).data.count = 1;
    // @ts-expect-error a number
    hapiSessionOf(counted, request).data.count = "1";
    return request.session.user ?? "";
  },
});

const next = nextSessions(() => counted);
const page = await next.auth();
const count: number | undefined = page.data.count;
// @ts-expect-error only to look at
page.data.count = 1;
const act: (by: number) => Promise<string> = next.action((session, by: number) => {
  session.data.count = (count ?? 0) + by;
  // @ts-expect-error a number
  session.data.count = "1";
  return "done";
});
void act;
export const POST = next.route((session, request: NextRequest, { params }: { params: Promise<{ id: string }> }) => {
  // @ts-expect-error a number
  session.data.count = "1";
  void params;
  return Response.json(request.nextUrl.pathname);
});
const proxied: NextProxy = next.proxy((session, request: NextRequest) => void (session.user ?? request.nextUrl));
void proxied;
// @ts-expect-error a function that creates the manager
nextSessions(counted);

const astro = astroSessions(() => counted);
// @ts-expect-error a number
await astro.update(await counted.load(null), (data) => void (data.count = "1"));
// @ts-expect-error a function that creates the manager
astroSessions(counted);

const kit = svelteKitSessions(() => counted, { building: false });
// @ts-expect-error a number
await kit.update(await counted.load(null), (data) => void (data.count = "1"));
// @ts-expect-error building is missing
svelteKitSessions(() => counted, {});

const tanStack = tanStackSessions(() => counted);
const entry: (request: Request, given?: { context?: object }) => Promise<Response> = tanStack.fetch(
  (_request: Request, _given?: { context?: object }) => Response.json(tanStack.session().user),
);
void entry;
// @ts-expect-error a number
tanStack.session().data.count = "1";

createServer(withSession(counted, (_request, answer, { data }) => {
  data.count = (data.count ?? 0) + 1;
  // @ts-expect-error a number
  data.count = "1";
  answer.end();
}));
createServer(async (request, answer) => {
  // @ts-expect-error a number
  (await attachSession(counted, request, answer)).data.count = "1";
});

const storage: SessionStorage<Cart, { notice: string }> = createStoredSessionStorage<Cart, { notice: string }>({
  sessions: carts,
});
const routed = await storage.getSession();
routed.flash("notice", "hello");
// @ts-expect-error flash only
routed.set("notice", "hello");
const stored = await createStoredSessionStorage<Cart>({ sessions: carts }).getSession();
stored.stored.login("42");
// @ts-expect-error no such value
stored.get("count");

// Schemas with a default for every required key: nothing is missing, not even in a new session.
const zodBasket = z.object({ items: z.array(z.string()).default([]), note: z.string().optional() });
type Basket = z.infer<typeof zodBasket>;
const baskets = createSessionManager({ ...options, schema: zodBasket });
const valibotBaskets = createSessionManager({
  ...options,
  schema: v.object({ items: v.optional(v.array(v.string()), []), note: v.optional(v.string()) }),
});
for (const sessions of [baskets, valibotBaskets]) {
  const basket = await sessions.load(null);
  const whole: Basket = basket.data;
  basket.data.items.push("tea");
  basket.data = { ...whole, note: "green" };
  // @ts-expect-error the items are missing
  basket.data = {};
  // @ts-expect-error it may not be there
  basket.data.note.length;
  await sessions.update(basket, (data) => void data.items.push("cup"));
  // @ts-expect-error the items are missing
  await sessions.update(basket, () => ({}));
}
const partBaskets = createSessionManager({ ...options, schema: zodBasket.extend({ id: z.string() }) });
// @ts-expect-error a required key, so that a new session is empty
(await partBaskets.load(null)).data.items.push("tea");
const argued = createSessionManager<Basket>({ ...options, schema: zodBasket });
// @ts-expect-error a type argument tells nothing of defaults
(await argued.load(null)).data.items.push("tea");
const anything = createSessionManager({ ...options, schema: z.any() });
(await anything.load(null)).data["items"]?.push("tea");
const numbers = createSessionManager({ ...options, schema: z.record(z.string(), z.number()) });
(await numbers.load(null)).data["n"] = 1;
const alternatives = createSessionManager({
  ...options,
  schema: z.union([z.object({ a: z.number().default(1) }), z.object({ b: z.string() })]),
});
const { data: either } = await alternatives.load(null);
"a" in either ? either.a.toFixed() : either.b.length;

const named: SessionManager<Complete<Basket>> = baskets;
const wider: SessionManager<Basket> = baskets;
void [named, wider];
sessionOf(baskets, {} as express.Request).data.items.push("tea");
new Hono().use(honoSession(baskets)).get("/", (c) => c.json(c.var.session.data.items.length));
new Hono<SessionEnv<Complete<Basket>>>().get("/", (c) => c.json(c.var.session.data.items.length));
createServer(withSession(baskets, (_request, answer, { data }) => void answer.end(data.items.join())));
const fetchedBaskets = fetchSessions(baskets);
(await fetchedBaskets.load(new Headers())).data.items.push("tea");
// @ts-expect-error empty where the session could not be loaded
(await fetchedBaskets.view(new Headers())).data.items.length;
const basketStorage = createStoredSessionStorage({ sessions: baskets });
(await basketStorage.getSession()).stored.data.items.push("tea");
const routerStorage: SessionStorage<Basket> = basketStorage;
(await routerStorage.getSession()).set("items", []);
interface AsGlobal extends Complete<Basket> {}
((session: Session<AsGlobal>) => session.data.items.push("tea"))(await baskets.load(null));

new StoredSessionStore({ ...options, idleTimeout: "1 h", userOf: (data) => data["user"] as string });
// @ts-expect-error the middleware's cookie is the middleware's
new StoredSessionStore({ ...options, cookie: {} });
new StoredSessionKoaStore(options);
// @ts-expect-error a store is missing
new StoredSessionKoaStore({ keys: "" });
`;

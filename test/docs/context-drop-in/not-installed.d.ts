/** What the pages about drop-in stores use of express-session and koa-session, whose types are not development dependencies. */
declare module "express-session" {
  import type { RequestHandler } from "express";
  export default function session(options: {
    store: object;
    secret: string | string[];
    resave: boolean;
    saveUninitialized: boolean;
  }): RequestHandler;
}

declare namespace Express {
  interface Request {
    session: { destroy(done: (error?: unknown) => void): void };
  }
}

declare module "koa-session" {
  import type Koa from "koa";
  export default function session(options: { store: object }, app: Koa): Koa.Middleware;
}

import { redirectTo } from "stored-session/next";
import { sessions } from "./lib/sessions.js";

export const proxy = sessions.proxy((session, request) => {
  const { pathname } = request.nextUrl;
  if (pathname === "/account" && session.user === undefined) return redirectTo("/");
  if (pathname === "/" && request.method === "GET") session.data.visits = (session.data.visits ?? 0) + 1;
});

export const config = { matcher: ["/", "/about", "/account"] };

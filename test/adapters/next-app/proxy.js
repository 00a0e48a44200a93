import { NextResponse } from "next/server";
import { redirectTo } from "stored-session/next";
import { sessions } from "./sessions.js";

export const proxy = sessions.proxy(async (session, request) => {
  const { searchParams } = request.nextUrl;
  if (searchParams.has("redirect")) {
    session.data.redirected = true;
    return redirectTo("/proxied/page");
  }
  if (searchParams.has("theirs")) {
    const headers = new Headers(request.headers);
    headers.set("x-theirs", "yes");
    session.data.begun = true;
    return NextResponse.next({ request: { headers } });
  }
  if (searchParams.has("logout")) session.destroy();
  if (searchParams.has("begin")) session.data.begun = true;
});

export const config = { matcher: "/proxied/:path*" };

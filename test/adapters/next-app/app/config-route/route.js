import { notFound, redirect } from "next/navigation";
import { sessions } from "../../sessions.js";

export const GET = sessions.route((session, request) => {
  const { searchParams } = new URL(request.url);
  if (searchParams.has("login")) session.login("42");
  if (searchParams.has("redirect")) redirect("/proxied/page?a=1;b=2");
  if (searchParams.has("missing")) notFound();
  if (searchParams.has("throw")) throw new Error("boom");
  return Response.json({ user: session.user ?? null, data: session.data });
});

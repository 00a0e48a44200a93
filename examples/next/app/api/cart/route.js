import { redirectTo } from "stored-session/next";
import { sessions } from "../../../lib/sessions.js";

export const GET = sessions.route((session) => Response.json(session.data.cart ?? []));

export const POST = sessions.route(async (session, request) => {
  const item = String((await request.formData()).get("item"));
  await sessions.update(session, (data) => {
    data.cart = [...(data.cart ?? []), item];
  });
  return redirectTo("/");
});

export const DELETE = sessions.route((session) => {
  delete session.data.cart;
  return new Response(null, { status: 204 });
});

"use server";
import { redirect } from "next/navigation";
import { sessions } from "./sessions.js";

export const login = sessions.action(async (session, form) => {
  const user = form.get("user");
  if (user !== "ada" && user !== "ben") throw new Error("Only ada and ben live here.");
  session.login(user);
  session.flash("notice", "Welcome back.");
  redirect("/");
});

// Two tabs may add at the same time: `update` keeps what both added.
export const addToCart = sessions.action(async (session, form) => {
  const item = String(form.get("item"));
  await sessions.update(session, (data) => {
    data.cart = [...(data.cart ?? []), item];
  });
});

export const logout = sessions.action(async (session) => {
  session.destroy();
  redirect("/");
});

export const logoutEverywhere = sessions.action(async (session) => {
  if (session.user !== undefined) await sessions.forUser(session.user).revokeAll({ except: session });
  session.destroy();
  redirect("/");
});

"use server";
import { cookies } from "next/headers";
import { notFound, redirect } from "next/navigation";
import { sessions } from "./sessions.js";

export const login = sessions.action(async (session) => {
  session.login("42");
  session.flash("notice", "Welcome back.");
  redirect("/proxied/page");
});

export const loginThenNotFound = sessions.action(async (session) => {
  session.login("42");
  notFound();
});

export const loginThenThrow = sessions.action(async (session) => {
  session.login("42");
  throw new Error("boom");
});

export const stay = sessions.action(async (session) => {
  session.data.stayed = true;
  const { data } = await sessions.auth();
  globalThis.seenInAction = { ...data };
});

export async function theme() {
  (await cookies()).set("theme", "dark");
}

export const themeOfSession = sessions.action(theme);

export const rotate = sessions.action(async (session) => {
  session.regenerate();
  session.data.rotated = true;
});

export const logout = sessions.action((session) => session.destroy());

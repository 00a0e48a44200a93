import { useStoredSession } from "stored-session/h3";

export default defineEventHandler(async (event) => {
  const { stored } = await useStoredSession(event);
  const user = (await readFormData(event)).get("user");
  if (user !== "ada" && user !== "ben")
    throw createError({ status: 403, message: "Only ada and ben live here." });
  stored.login(user);
  stored.flash("notice", "Welcome back.");
  return sendRedirect(event, "/", 303);
});

import { useStoredSession } from "stored-session/h3";

// The page asks for this while it is rendered. It shares the session of the page's request, which saves it.
export default defineEventHandler(async (event) => {
  const { data, stored, update } = await useStoredSession(event);
  await update({ visits: (data.visits ?? 0) + 1 });
  return {
    user: stored.user ?? "nobody",
    visits: data.visits,
    cart: data.cart ?? [],
    notice: stored.takeFlash("notice") ?? "",
  };
});

import { useStoredSession } from "stored-session/h3";

// Two tabs may add at the same time: `sessions.update` keeps what both added.
export default defineEventHandler(async (event) => {
  const { stored } = await useStoredSession(event);
  const item = String((await readFormData(event)).get("item"));
  await sessions.update(stored, (data) => {
    data.cart = [...(data.cart ?? []), item];
  });
  return sendRedirect(event, "/", 303);
});

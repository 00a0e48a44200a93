import { useStoredSession } from "stored-session/h3";

export default defineEventHandler(async (event) => {
  const session = await useStoredSession(event);
  await session.clear();
  return sendRedirect(event, "/", 303);
});

import { useStoredSession } from "stored-session/h3";

export default defineEventHandler(async (event) => {
  const { stored } = await useStoredSession(event);
  if (stored.user !== undefined) await sessions.forUser(stored.user).revokeAll({ except: stored });
  stored.destroy();
  return sendRedirect(event, "/", 303);
});

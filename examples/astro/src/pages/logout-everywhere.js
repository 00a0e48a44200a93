import { sessions } from "../sessions.js";

export async function POST({ locals: { session }, redirect }) {
  if (session.user !== undefined) await sessions.forUser(session.user).revokeAll({ except: session });
  session.destroy();
  return redirect("/", 303);
}

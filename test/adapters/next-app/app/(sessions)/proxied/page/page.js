import { headers } from "next/headers";
import {
  login,
  loginThenNotFound,
  loginThenThrow,
  logout,
  rotate,
  stay,
  themeOfSession,
} from "../../../../actions.js";
import { sessions } from "../../../../sessions.js";

export default async function Page() {
  const { user, data, takeFlash } = await sessions.auth();
  const notice = (await takeFlash("notice")) ?? "none";
  const theirs = (await headers()).get("x-theirs") ?? "no";
  const forms = { login, loginThenNotFound, loginThenThrow, stay, rotate, logout, themeOfSession };
  return (
    <>
      <pre>{JSON.stringify({ user: user ?? null, data, notice, theirs })}</pre>
      {Object.entries(forms).map(([name, action]) => (
        <form key={name} id={name} action={action}>
          <button>{name}</button>
        </form>
      ))}
    </>
  );
}

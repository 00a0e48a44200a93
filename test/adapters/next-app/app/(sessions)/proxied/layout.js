import { sessions } from "../../../sessions.js";

export default async function Layout({ children }) {
  const { user } = await sessions.auth();
  return (
    <>
      <header>{`layout: ${user ?? "nobody"}`}</header>
      {children}
    </>
  );
}

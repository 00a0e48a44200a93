import { sessions } from "../../sessions.js";

export default async function Page() {
  const { user } = await sessions.auth();
  return <p>{`page: ${user ?? "nobody"}`}</p>;
}

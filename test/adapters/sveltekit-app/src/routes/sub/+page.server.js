export async function load({ locals: { session }, fetch, url }) {
  const credentials = url.searchParams.has("omit") ? "omit" : "same-origin";
  session.data.outer = true;
  const visits = await (await fetch("/api", { credentials })).json();
  await fetch("/api", { credentials });
  return { seen: JSON.stringify({ data: { ...session.data }, visits }) };
}

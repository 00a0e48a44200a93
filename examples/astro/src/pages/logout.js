export function POST({ locals: { session }, redirect }) {
  session.destroy();
  return redirect("/", 303);
}

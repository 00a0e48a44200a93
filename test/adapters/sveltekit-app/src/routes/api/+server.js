export function GET({ locals: { session } }) {
  session.data.visits = (session.data.visits ?? 0) + 1;
  return Response.json(session.data.visits);
}

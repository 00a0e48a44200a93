import { redirect } from "next/navigation";
import { nextSessions, requireFresh } from "stored-session/next";

// The test that runs this server puts its contract application on globalThis.
const respond = (request, context) => {
  const { contractApp, contractError, contractFresh, managerName } = globalThis;
  const { route } = nextSessions(() => contractApp.sessions, {
    name: managerName,
    onError(error) {
      const { status, body } = contractError(error);
      return new Response(body, { status });
    },
  });
  return route(async (session) => {
    const { pathname, search } = new URL(request.url);
    const fresh = requireFresh(contractFresh.within, contractFresh.options);
    const denied = pathname.startsWith("/fresh/") ? fresh(session, request) : null;
    if (denied !== null) return denied;
    const answer = await contractApp.route(pathname + search, () => session);
    if (answer.redirect !== undefined && pathname === "/leave") redirect(answer.redirect);
    const headers = new Headers(answer.headers);
    if (answer.redirect !== undefined) headers.set("location", answer.redirect);
    return new Response(answer.chunks === undefined ? answer.body : streamOf(answer.chunks), {
      status: answer.status,
      headers,
    });
  })(request, context);
};

function streamOf(chunks) {
  const text = new TextEncoder();
  const iterator = (chunks[Symbol.asyncIterator] ?? chunks[Symbol.iterator]).call(chunks);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(text.encode(value));
    },
  });
}

export { respond as GET, respond as POST };

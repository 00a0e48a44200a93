import { requireFresh } from "stored-session/astro";

// The test that runs this server puts its contract application on globalThis.
export async function ALL(context) {
  const { contractApp, contractError, contractFresh } = globalThis;
  if (contractApp === undefined) return new Response(null, { status: 404 });
  const { pathname, search } = context.url;
  if (pathname.startsWith("/fresh/")) {
    const denied = requireFresh(contractFresh.within, contractFresh.options)(context);
    if (denied) return denied;
  }
  try {
    const answer = await contractApp.route(pathname + search, () => context.locals.session);
    const headers = new Headers(answer.headers);
    if (answer.redirect !== undefined) headers.set("location", answer.redirect);
    return new Response(answer.chunks === undefined ? answer.body : streamOf(answer.chunks), {
      status: answer.status,
      headers,
    });
  } catch (error) {
    const { status, body } = contractError(error);
    return new Response(body, { status });
  }
}

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

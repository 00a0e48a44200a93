import { createFileRoute } from "@tanstack/react-router";
import { requireFresh } from "stored-session/tanstack-start";
import { sessions } from "../sessions.server.js";

// The test that runs this server puts its contract application on globalThis.
async function respond({ request }) {
  const { contractApp, contractError, contractFresh } = globalThis;
  const { pathname, search } = new URL(request.url);
  if (pathname.startsWith("/fresh/")) {
    const denied = requireFresh(contractFresh.within, contractFresh.options)(sessions.session(), request);
    if (denied !== null) return denied;
  }
  try {
    const answer = await contractApp.route(pathname + search, () => sessions.session());
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

export const Route = createFileRoute("/$")({ server: { handlers: { ANY: respond } } });

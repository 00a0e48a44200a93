import { StoreError } from "../errors.ts";
import { html, type Html } from "./html.ts";
import { BODY, contentSecurityPolicy, layout, notice } from "./layout.ts";
import type { Answer } from "./answers.ts";
import { raw } from "./html.ts";
import { frameOf, type View } from "./view.ts";

/** What every response of the dashboard has. */
const headers: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": contentSecurityPolicy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // Not no-referrer: with it, browsers send "Origin: null" with forms.
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "x-robots-tag": "noindex, nofollow",
};

const HTML = "text/html; charset=utf-8";

export function htmlResponse(status: number, body: string): Response {
  return new Response(body, { status, headers: { ...headers, "content-type": HTML } });
}

export function textResponse(
  status: number,
  text: string,
  more: Readonly<Record<string, string>> = {},
): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { ...headers, "content-type": "text/plain; charset=utf-8", ...more },
  });
}

/** After a form, the browser loads the page anew. */
export function redirectResponse(location: string): Response {
  return new Response(null, { status: 303, headers: { ...headers, location } });
}

/** Sends the parts of a page as they become ready. Who closes the page ends the work. */
export function streamResponse(view: View, { title, parts }: Answer & { kind: "stream" }): Response {
  const page = layout(frameOf(view), { title, place: null, body: raw(BODY) });
  const [before = "", after = ""] = page.split(BODY);
  const texts = async function* (signal: AbortSignal): AsyncGenerator<string> {
    yield before;
    try {
      for await (const part of parts(signal)) yield part.toString();
    } catch (error) {
      if (signal.aborted) return;
      yield failure(error).toString();
      if (!(error instanceof StoreError)) process.emitWarning(error as Error);
    }
    yield after;
  };
  return new Response(streamOf(view.signal, texts), {
    headers: { ...headers, "content-type": HTML, "x-accel-buffering": "no" },
  });
}

function failure(error: unknown): Html {
  return notice(
    "bad",
    error instanceof StoreError
      ? html`<strong>The session store does not answer.</strong> This was not finished. What is done stays
          done; start it again when the database is back.`
      : html`<strong>This was not finished.</strong> The process of the server has printed why.`,
  );
}

export function downloadResponse({ name, type, lines }: Answer & { kind: "download" }): Response {
  const texts = async function* (): AsyncGenerator<string> {
    for await (const line of lines()) yield `${line}\n`;
  };
  return new Response(streamOf(undefined, texts), {
    headers: { ...headers, "content-type": type, "content-disposition": `attachment; filename="${name}"` },
  });
}

function streamOf(
  outer: AbortSignal | undefined,
  texts: (signal: AbortSignal) => AsyncGenerator<string>,
): ReadableStream<Uint8Array> {
  const left = new AbortController();
  const signal = outer ? AbortSignal.any([outer, left.signal]) : left.signal;
  const generator = texts(signal);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await generator.next();
      if (done) controller.close();
      else controller.enqueue(Buffer.from(value));
    },
    async cancel() {
      left.abort();
      await generator.return(undefined);
    },
  });
}

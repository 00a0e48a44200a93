/** The application that the adapter contract drives, except what each framework does in its own way. */

import { fileURLToPath } from "node:url";

/** The session interface that the routes use. A `Session` of this package implements it. */
export interface ContractSession {
  data: Record<string, unknown>;
  readonly user: string | undefined;
  readonly isNew: boolean;
  login(user: string): unknown;
  regenerate(): unknown;
  /** Absent in drop-in stores. */
  elevate?(proof: { level: string }): unknown;
  readonly level?: string | undefined;
  destroy(): unknown;
  flash(name: string, value: unknown): unknown;
  takeFlash(name: string): unknown;
}

/** What a route answers. The framework's test application sends it in its own way. */
export interface ContractAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Text to send. Null: no body at all. */
  readonly body: string | null;
  /** Send a stream of these chunks instead of `body`. */
  readonly chunks?: Iterable<string> | AsyncIterable<string>;
  /** Redirect to this, with the framework's own redirect. */
  readonly redirect?: string;
  /** Send the file at this path, with the framework's own function. */
  readonly file?: string;
  /** Send `body` on the Node response, bypassing the framework. */
  readonly raw?: boolean;
}

/**
 * Headers that middleware before the session's sets on every response: they stay on the response to a failed commit.
 */
export const contractHeaders: Readonly<Record<string, string>> = {
  "access-control-allow-origin": "https://shop.example",
  "content-security-policy": "default-src 'self'",
  "x-request-id": "before-the-session",
};

/** Headers that the handler of `/leak` sets: none may be on the response to a failed commit. */
export const leakedHeaders: Readonly<Record<string, string>> = {
  "clear-site-data": '"cookies"',
  "content-disposition": 'attachment; filename="statement.pdf"',
  "content-language": "eo",
  location: "/secret",
  "set-cookie": "remember=secret",
  "vercel-cdn-cache-control": "max-age=600",
  "x-accel-expires": "600",
  "x-request-id": "of-the-handler",
  "x-user": "42",
};

/** Lets a test pause a route at a named gate. */
export class Gates {
  readonly #gates = new Map<
    string,
    { opened: Promise<void>; open: () => void; reached: Promise<void>; reach: () => void }
  >();

  #gate(name: string) {
    let gate = this.#gates.get(name);
    if (gate === undefined) {
      const opened = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      gate = {
        opened: opened.promise,
        open: opened.resolve,
        reached: reached.promise,
        reach: reached.resolve,
      };
      this.#gates.set(name, gate);
    }
    return gate;
  }

  /** Called by a route: waits until the test opens the gate. */
  async pass(name: string): Promise<void> {
    const gate = this.#gate(name);
    gate.reach();
    await gate.opened;
  }

  /** Resolves when a route waits at the gate. */
  reached(name: string): Promise<void> {
    return this.#gate(name).reached;
  }

  open(name: string): void {
    this.#gate(name).open();
  }
}

/** Text of a stream that exceeds every buffer on its way. */
export const streamed: readonly string[] = Array.from({ length: 64 }, (_, n) => `${n}:`.padEnd(16_384, "."));

/** Answers a request of the contract. Does not access `session` unless the route needs it. */
export async function contractRoute(
  path: string,
  query: URLSearchParams,
  session: () => ContractSession,
  gates: Gates,
): Promise<ContractAnswer> {
  const text = (name: string) => query.get(name) ?? "";
  switch (path) {
    case "/plain":
      return answer("plain");
    case "/read":
      return answer(
        JSON.stringify({ user: session().user ?? null, isNew: session().isNew, data: session().data }),
      );
    case "/set":
      session().data[text("key")] = text("value");
      return answer("set");
    case "/hold": {
      const before = session().data; // loaded and accessed before the gate
      void before;
      await gates.pass(text("gate"));
      session().data[text("key")] = text("value");
      return answer("held");
    }
    case "/login":
      await session().login(text("user"));
      return answer("in");
    case "/logout":
      await session().destroy();
      return answer("out");
    case "/regenerate":
      await session().regenerate();
      return answer("regenerated");
    case "/elevate":
      await session().elevate?.({ level: text("level") });
      return answer(session().level ?? "none");
    case "/flash":
      await session().flash("notice", text("value"));
      return answer("flashed");
    case "/take":
      return answer(JSON.stringify((await session().takeFlash("notice")) ?? null));
    case "/redirect":
      session().data["redirected"] = "yes";
      return { ...answer(null), status: 302, redirect: "/read" };
    case "/stream":
      session().data["streamed"] = "yes";
      return { ...answer(null), chunks: streamed };
    case "/empty":
      session().data["empty"] = "yes";
      return { ...answer(null), status: 204 };
    case "/not-modified":
      session().data["seen"] = "yes";
      return { ...answer(null), status: 304, headers: { etag: '"1"' } };
    case "/throw":
      session().data["thrown"] = "yes";
      throw new Error("boom");
    case "/throw-value":
      session().data["thrown"] = text("value");
      throw { text: "boom", object: { boom: 1 }, null: null }[text("value")];
    case "/unserializable":
      session().data["bad"] = new Map([["work", () => 1]]);
      return answer("must not be seen");
    case "/large":
      session().data["large"] = "x".repeat(Number(text("length")));
      return answer("large");
    case "/leave":
      return leave(query, session(), gates);
    case "/leak": {
      session().data["leaked"] = "yes";
      const how = answeredBy(text("how"), "leak", gates);
      const trailer = how.chunks === undefined ? {} : { trailer: "x-checksum" };
      return { ...how, headers: { ...how.headers, ...leakedHeaders, ...trailer } };
    }
    case "/late": {
      const late = session();
      void tooLate(late, gates.pass(text("gate")));
      return answer("early");
    }
    case "/headers": {
      if (query.has("write")) session().data["written"] = text("write");
      else void session().data;
      const headers: Record<string, string> = {};
      for (const name of ["vary", "cache-control", "set-cookie", "cdn-cache-control"]) {
        const value = query.get(name);
        if (value !== null) headers[name] = value;
      }
      return { ...answer("headers"), headers };
    }
    default:
      if (path.startsWith("/fresh/")) return answer("passed"); // unless the guard answers
      return { ...answer("not found"), status: 404 };
  }
}

/** Changes the session in the middle of its work, then again, and answers. */
async function leave(
  query: URLSearchParams,
  session: ContractSession,
  gates: Gates,
): Promise<ContractAnswer> {
  const [what, gate] = [query.get("what"), query.get("gate")];
  if (what === "change") session.data["half"] = "yes";
  else void session.user;
  if (gate !== null) await gates.pass(gate);
  if (what === "logout") await session.destroy();
  else if (what === "login") await session.login("43");
  else session.data["done"] = "yes";
  return answeredBy(query.get("how") ?? "", gate ?? "leave", gates);
}

function answeredBy(how: string, gate: string, gates: Gates): ContractAnswer {
  switch (how) {
    case "value":
      return answer("left");
    case "redirect":
      return { ...answer(null), status: 302, redirect: "/read" };
    case "nothing":
      return { ...answer(null), status: 204 };
    case "stream":
      return { ...answer(null), chunks: streamed };
    case "slow stream":
      return { ...answer(null), chunks: slow(gate, gates) };
    case "file":
      return { ...answer(null), file: fileURLToPath(import.meta.url) };
    case "raw":
      return { ...answer("left"), raw: true };
    default:
      throw new Error("boom");
  }
}

/** Has no chunk until the gate is opened. */
async function* slow(gate: string, gates: Gates): AsyncGenerator<string> {
  await gates.pass(`${gate}-chunk`);
  yield "left";
}

async function tooLate(session: ContractSession, opened: Promise<void>): Promise<void> {
  await opened;
  session.data["late"] = "too late";
}

function answer(body: string | null): ContractAnswer {
  return { status: 200, headers: body === null ? {} : { "content-type": "text/plain; charset=utf-8" }, body };
}

/** What the test application's error handler answers. */
export function contractError(error: unknown): { status: number; body: string } {
  const { status, code, message } = Object(error) as { status?: number; code?: string; message?: string };
  return { status: typeof status === "number" ? status : 500, body: `handled: ${code ?? message}` };
}

/** The application that the adapter contract drives, apart from what each framework does its own way. */

/** A session as the routes use it. A `Session` of this package is one. */
export interface ContractSession {
  data: Record<string, unknown>;
  readonly user: string | undefined;
  readonly isNew: boolean;
  login(user: string): unknown;
  regenerate(): unknown;
  destroy(): unknown;
  flash(name: string, value: unknown): unknown;
  takeFlash(name: string): unknown;
}

/** What a route answers; the framework's test application sends it in its own way. */
export interface ContractAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Text to send. Null: no body at all. */
  readonly body: string | null;
  /** To be sent as a stream of these chunks, in place of `body`. */
  readonly chunks?: readonly string[];
  /** To be redirected to, with the framework's own redirect. */
  readonly redirect?: string;
}

/** Lets a test hold a route up at a place that it knows by name. */
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

  /** Resolves when a route stands before the gate. */
  reached(name: string): Promise<void> {
    return this.#gate(name).reached;
  }

  open(name: string): void {
    this.#gate(name).open();
  }
}

/** Text of a stream that is larger than any buffer on its way. */
export const streamed: readonly string[] = Array.from({ length: 64 }, (_, n) => `${n}:`.padEnd(16_384, "."));

/** Answers a request of the contract. `session` is not looked at unless the route says so. */
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
      const before = session().data; // loaded and looked at before the gate
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
      return { ...answer("not found"), status: 404 };
  }
}

async function tooLate(session: ContractSession, opened: Promise<void>): Promise<void> {
  await opened;
  session.data["late"] = "too late";
}

function answer(body: string | null): ContractAnswer {
  return { status: 200, headers: body === null ? {} : { "content-type": "text/plain; charset=utf-8" }, body };
}

/** What the test application's own error handling answers. */
export function contractError(error: unknown): { status: number; body: string } {
  const { status, code, message } = Object(error) as { status?: number; code?: string; message?: string };
  return { status: typeof status === "number" ? status : 500, body: `handled: ${code ?? message}` };
}

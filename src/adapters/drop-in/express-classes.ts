import { createRequire } from "node:module";

type Generate = (request: never) => void;

/** express-session's own classes, of which it hands none to its stores. */
interface Classes {
  readonly Session: new (request: object, data: object) => object;
  /** The prototype of its cookies. */
  readonly cookie: object;
}

interface Generated {
  sessionID?: unknown;
  session?: (object & { cookie: object }) | undefined;
}

/**
 * How express-session makes sessions. `generate` calls what the application gave (`genid`, `cookie`), so it is never
 * called with anything but a request that a client sent.
 */
export class ExpressClasses {
  #generate: Generate | undefined;
  readonly #find: () => Classes | null;
  #classes: Classes | null = null;

  /** @param find looks for an express-session that is installed */
  constructor(find: () => Classes | null = installed) {
    this.#find = find;
  }

  /** Gives a request a new session; undefined for a store that express-session does not own. */
  get generate(): Generate | undefined {
    return this.#generate;
  }

  set generate(generate: Generate | undefined) {
    this.#generate =
      generate &&
      ((request) => {
        generate(request);
        this.#learn(request);
      });
  }

  /** Gives a request a new session. */
  renew(request: object): void {
    this.#assertOwned()(request as never);
  }

  /**
   * @param request one that a client sent; null when there is none
   * @throws {TypeError} the store was not passed to express-session, or there is no way to find its classes
   */
  of(request: object | null): Classes {
    const generate = this.#assertOwned();
    this.#classes ??= this.#find();
    if (this.#classes === null && request !== null) {
      // In a bundle, say. Once in a process, an id is generated that nobody uses.
      const generated = request as Generated;
      const { sessionID, session } = generated;
      generate(request as never);
      Object.assign(generated, { sessionID, session });
    }
    if (this.#classes !== null) return this.#classes;
    throw new TypeError(
      "stored-session could not import express-session, so load() waits for the first request with a session. Install express-session where stored-session is installed.",
    );
  }

  #learn({ session }: Generated): void {
    if (session === undefined || session.constructor === this.#classes?.Session) return;
    this.#classes = {
      Session: session.constructor as Classes["Session"],
      cookie: Object.getPrototypeOf(session.cookie) as object,
    };
  }

  #assertOwned(): Generate {
    if (this.#generate === undefined)
      throw new TypeError(
        "This method requires express-session: pass the store to session({ store }) first.",
      );
    return this.#generate;
  }
}

/** Of the express-session that this package finds, which is the application's unless there are several. */
function installed(): Classes | null {
  try {
    const { Session, Cookie } = createRequire(import.meta.url)("express-session") as {
      Session: Classes["Session"];
      Cookie: { readonly prototype: object };
    };
    return { Session, cookie: Cookie.prototype };
  } catch {
    return null;
  }
}

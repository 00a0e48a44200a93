import { createRequire } from "node:module";

type Generate = (request: never) => void;

/** express-session's own classes, which it does not pass to stores. */
interface Classes {
  readonly Session: new (request: object, data: object) => { cookie: object };
  /** The prototype of its cookies. */
  readonly cookie: object;
}

interface Generated {
  sessionID?: unknown;
  session?: (object & { cookie: object }) | undefined;
}

/**
 * Creates express-session's sessions. `generate` calls the application's `genid` and `cookie`, so it is only called
 * with a request that a client sent.
 */
export class ExpressClasses {
  #generate: Generate | undefined;
  readonly #find: () => Classes | null;
  #classes: Classes | null = null;

  /** @param find finds an installed express-session */
  constructor(find: () => Classes | null = installed) {
    this.#find = find;
  }

  /** Gives a request a new session. Undefined if the store was not passed to express-session. */
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
   * @param request a request that a client sent. Null if there is none
   * @throws {TypeError} the store was not passed to express-session, or its classes cannot be found
   */
  of(request: object | null): Classes {
    const generate = this.#assertOwned();
    this.#classes ??= this.#find();
    if (this.#classes === null && request !== null) {
      // For example in a bundle. Generates one unused id per process.
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

/** From the express-session that this package resolves, which is the application's unless several are installed. */
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

import type { ContractSession } from "../../src/testing/index.ts";

interface Hooks {
  /** The library's session object of this request, as it is now. */
  session(): Record<string, unknown>;
  regenerate(): unknown;
  destroy(): unknown;
}

const own = new Set(["cookie", "user", "notice", "stored-session:baseline"]);

/** Another library's session, as the routes of the adapter contract use one. */
export class DropInFace implements ContractSession {
  readonly #hooks: Hooks;

  constructor(hooks: Hooks) {
    this.#hooks = hooks;
  }

  get #session(): Record<string, unknown> {
    return this.#hooks.session();
  }

  get data(): Record<string, unknown> {
    const session = this.#session;
    const { toJSON } = session as { toJSON?: () => object };
    const shown = toJSON === undefined ? session : toJSON.call(session); // koa-session's hides its own properties
    const values = Object.fromEntries(Object.entries(shown).filter(([key]) => !own.has(key)));
    return new Proxy(values, {
      set(target, key: string, value) {
        session[key] = value;
        target[key] = value;
        return true;
      },
    });
  }

  get user(): string | undefined {
    return this.#session["user"] as string | undefined;
  }

  get isNew(): boolean {
    return Object.keys(this.data).length === 0 && this.user === undefined;
  }

  async login(user: string): Promise<void> {
    const kept = { ...this.data };
    await this.#hooks.regenerate();
    Object.assign(this.#session, kept, { user });
  }

  regenerate(): unknown {
    return this.#hooks.regenerate();
  }

  destroy(): unknown {
    return this.#hooks.destroy();
  }

  flash(_name: string, value: unknown): void {
    this.#session["notice"] = value;
  }

  takeFlash(): unknown {
    const value = this.#session["notice"];
    delete this.#session["notice"];
    return value;
  }
}

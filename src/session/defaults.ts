import { emptyContent } from "./content.ts";
import type { SessionFormat } from "./format.ts";
import { isThenable } from "./hooks.ts";
import type { StandardResult, StandardSchema } from "./standard-schema.ts";

/**
 * The defaults that a schema gives a session without data. They are evaluated for each session, because they may be
 * dates, and kept as bytes, so that no two sessions share a value that one of them changes.
 *
 * There are none if `{}` does not fit, because a key is required, or if the schema throws or returns a value that cannot
 * be stored. The commit validates again, and reports that failure.
 */
export class Defaults {
  readonly #schema: StandardSchema<unknown, unknown>;
  readonly #format: SessionFormat;
  /** Whether the schema returns a promise; undefined until it was called. */
  #isAsync: boolean | undefined;

  constructor(schema: StandardSchema<unknown, unknown>, format: SessionFormat) {
    this.#schema = schema;
    this.#format = format;
  }

  async evaluate(): Promise<Uint8Array | null> {
    return this.#evaluate();
  }

  /** Defaults for a session that may have to start over synchronously. Null if the schema itself is synchronous. */
  async ahead(): Promise<Uint8Array | null> {
    return this.#isAsync === false ? null : this.#evaluate();
  }

  /**
   * The defaults for a session that starts over now.
   * @param ahead the result of `ahead`, used if the schema returns a promise
   */
  now(ahead: Uint8Array | null): Uint8Array | null {
    if (this.#isAsync === true) return ahead;
    const answer = this.#evaluate();
    return answer instanceof Promise ? ahead : answer;
  }

  #evaluate(): Uint8Array | null | Promise<Uint8Array | null> {
    try {
      const result = this.#schema["~standard"].validate({});
      this.#isAsync = isThenable(result);
      if (!isThenable(result)) return this.#bytesOf(result);
      return Promise.resolve(result).then(
        (answer) => this.#bytesOf(answer),
        () => null,
      );
    } catch {
      return null;
    }
  }

  #bytesOf(result: StandardResult<unknown>): Uint8Array | null {
    const { value } = result as { readonly value?: unknown };
    if (result.issues !== undefined || typeof value !== "object" || value === null) return null;
    if (Array.isArray(value) || Object.keys(value).length === 0) return null;
    const data = { ...value };
    this.#format.flashInData?.write(data, {});
    try {
      return this.#format.encode({ ...emptyContent(), data }, null);
    } catch {
      return null;
    }
  }
}

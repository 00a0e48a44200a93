import { emptyContent } from "./content.ts";
import type { SessionFormat } from "./format.ts";
import { isThenable } from "./hooks.ts";
import type { StandardResult, StandardSchema } from "./standard-schema.ts";

/**
 * What a schema makes of a session without data: the defaults of its keys, evaluated for each session, since they may be
 * dates. As bytes of a content, so that no two sessions share a value that one of them changes.
 *
 * There are none where `{}` does not fit: a key is required. Nor where the schema throws, or answers what cannot be
 * stored: it is asked again when the session is saved, and that failure is told.
 */
export class Defaults {
  readonly #schema: StandardSchema<unknown, unknown>;
  readonly #format: SessionFormat;
  /** Whether the schema answers with a promise; undefined until it was asked. */
  #isAsync: boolean | undefined;

  constructor(schema: StandardSchema<unknown, unknown>, format: SessionFormat) {
    this.#schema = schema;
    this.#format = format;
  }

  async evaluate(): Promise<Uint8Array | null> {
    return this.#evaluate();
  }

  /** Those of a session that may have to start over without waiting. Null for a schema that answers at once then. */
  async ahead(): Promise<Uint8Array | null> {
    return this.#isAsync === false ? null : this.#evaluate();
  }

  /**
   * The defaults for a session that starts over now.
   * @param ahead taken for a schema that answers with a promise
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

import { assertOptions, integerFrom, isText } from "../shared/option-checks.ts";
import type { Content } from "../codec/codec.ts";
import { RefusedError } from "../errors.ts";
import type { SessionFormat } from "../session/format.ts";
import { idPages } from "../store/pages.ts";
import type { SessionStore } from "../store/contract.ts";
import { reasonOf } from "../shared/reason.ts";

/** A row of a Rails table. */
interface RowOfTable {
  /** The `sid` column: `2::` and the hash of the public id. Not a credential. */
  readonly sid: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A decrypted row: its Ruby values as types of this package, and the user that `userOf` of railsFormat found. */
export interface OpenedRailsRow extends RowOfTable {
  readonly data: Record<string, unknown>;
  readonly user: string | undefined;
  readonly refusal: null;
}

/** A row that cannot be decrypted or decoded. */
export interface RefusedRailsRow extends RowOfTable {
  readonly data: null;
  readonly user: undefined;
  readonly refusal: RefusedError;
}

export type RailsRow = OpenedRailsRow | RefusedRailsRow;

/**
 * Yields every session of a Rails table, expired or not, in order of `sid` and in pages of bounded memory: for imports,
 * exports and inspection. A row that cannot be opened, or for which `userOf` throws (reason "schema"), is reported and
 * does not stop the others.
 * @param options.after the `sid` at which an earlier run stopped
 */
export async function* railsRows(
  store: SessionStore,
  format: SessionFormat,
  options: { readonly after?: string; readonly batchSize?: number } = {},
): AsyncGenerator<RailsRow, void, undefined> {
  assertOptions("railsRows", options, { after: isText, batchSize: integerFrom(1) });
  const { batchSize = 200 } = options;
  const after = options.after === undefined ? null : new TextEncoder().encode(options.after);
  const read = (cursor: Uint8Array | null, limit: number) => store.scan(cursor, limit);
  for await (const { rows } of idPages(read, batchSize, after)) {
    for (const row of rows) {
      const about = {
        sid: new TextDecoder().decode(row.id),
        createdAt: new Date(row.createdAt),
        updatedAt: new Date(row.updatedAt),
      };
      try {
        const { data, user } = decoded(format, format.open(row, null));
        yield { ...about, data, user, refusal: null };
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        yield { ...about, data: null, user: undefined, refusal: error };
      }
    }
  }
}

/** Decodes a row. Besides a refusal, only the application's `userOf` throws here. @throws {RefusedError} */
function decoded(format: SessionFormat, plaintext: Uint8Array): Content {
  try {
    return format.decode(plaintext);
  } catch (cause) {
    if (cause instanceof RefusedError) throw cause;
    const reason = reasonOf(cause);
    throw new RefusedError("schema", `\`userOf\` fails on the session: ${reason}`, { cause });
  }
}

import type { Content } from "../codec/codec.ts";
import { pathText } from "../codec/path.ts";
import { LimitError, RefusedError, SchemaError, StoreError, ValueError } from "../errors.ts";
import { printable } from "../printable.ts";
import type { SessionFormat } from "./format.ts";
import { sameBytes } from "./same-bytes.ts";

/** The one property of a Standard Schema (standardschema.dev, version 1) that is used here. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type StandardResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };

export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

type AnySchema = StandardSchema<unknown, unknown>;

/** The settings that decide what an application sees of stored data. */
interface SchemaSettings {
  readonly schema: AnySchema | undefined;
  readonly upgrade: ((old: unknown) => unknown) | undefined;
  readonly format: SessionFormat;
}

/**
 * The content with its data as the schema gives it.
 * @throws {SchemaError} naming where it does not fit
 */
export async function conformForSaving(
  { schema, format }: Pick<SchemaSettings, "schema" | "format">,
  content: Content,
): Promise<Content> {
  if (schema === undefined || isBare(content)) return content;
  const result = await schema["~standard"].validate(content.data);
  if (result.issues !== undefined) {
    throw new SchemaError(
      `The session does not fit its schema and was not saved: ${describe(result.issues)}.`,
      result.issues,
    );
  }
  const data = dataOf(result.value);
  format.flashInData?.write(data, content.flash);
  return { ...content, data };
}

/** Stored content as the application sees it. */
export interface Conforming {
  readonly content: Content;
  /** The bytes of `content`. */
  readonly plaintext: Uint8Array;
  /** The bytes that stand for it in the store, where these hold more than the schema lets through; null elsewhere. */
  readonly under: Uint8Array | null;
}

/**
 * The same for content that was stored, perhaps by another version of the application: what does not fit goes through
 * `upgrade` once. What `upgrade` leaves out is gone with the next save; what the schema leaves out stays stored.
 * @param plaintext what was stored
 * @param content the same, decoded for this call
 * A schema, or an `upgrade`, that throws has refused the data.
 * @throws {RefusedError} reason "schema"
 */
export async function conformStored(
  settings: SchemaSettings,
  plaintext: Uint8Array,
  content: Content,
): Promise<Conforming> {
  try {
    return await conform(settings, plaintext, content);
  } catch (error) {
    // Down is down: an `upgrade` may ask a store of its own.
    if (error instanceof RefusedError || error instanceof StoreError) throw error;
    // Not with its message, which may quote what the session holds.
    throw new RefusedError(
      "schema",
      "`schema` or `upgrade` threw an error for the stored session: see `cause`. It must answer for whatever an earlier release stored.",
      { cause: error },
    );
  }
}

async function conform(
  { schema, upgrade, format }: SchemaSettings,
  plaintext: Uint8Array,
  content: Content,
): Promise<Conforming> {
  if (schema === undefined || isBare(content)) return { content, plaintext, under: null };
  let result = await schema["~standard"].validate(content.data);
  let under: Uint8Array | null = plaintext;
  if (result.issues !== undefined && upgrade !== undefined) {
    const data = await upgrade(content.data);
    result = await schema["~standard"].validate(data);
    // Before the application sees any of it: `upgrade` and the schema may have kept values that it changes later.
    under = result.issues === undefined ? bytesOfUpgraded(format, { ...content, data }, plaintext) : null;
  }
  if (result.issues !== undefined) {
    throw new RefusedError(
      "schema",
      `The stored session does not fit the schema: ${describe(result.issues)}.`,
    );
  }
  const seen = { ...content, data: dataOf(result.value) };
  format.flashInData?.write(seen.data, seen.flash); // the session's own, whatever the schema says of the key
  const bytes = format.encode(seen, plaintext);
  return { content: seen, plaintext: bytes, under: under !== null && sameBytes(bytes, under) ? null : under };
}

/**
 * Bytes of upgraded data, whose keys that the schema does not know stay as well; null where only the schema makes of it
 * what can be stored.
 */
function bytesOfUpgraded(
  format: SessionFormat,
  content: Omit<Content, "data"> & { readonly data: unknown },
  before: Uint8Array,
): Uint8Array | null {
  if (!isObject(content.data)) return null;
  const data = { ...content.data };
  format.flashInData?.write(data, content.flash);
  try {
    return format.encode({ ...content, data }, before);
  } catch (error) {
    if (error instanceof ValueError || error instanceof LimitError) return null;
    throw error;
  }
}

/** A session without data fits every schema: nobody has put anything there yet. */
function isBare(content: Content): boolean {
  return Object.keys(content.data).length === 0;
}

function dataOf(value: unknown): Record<string, unknown> {
  if (isObject(value)) return value;
  throw new SchemaError("The schema must describe an object: a session's data is one.", []);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Issues as one sentence: where and what. At most ten, and never the values. Visitors may have chosen the keys (R50). */
function describe(issues: readonly StandardIssue[]): string {
  return issues
    .slice(0, 10)
    .map((issue) => {
      const path = (issue.path ?? []).map((part) => (typeof part === "object" ? part.key : part));
      const steps = path.map((key) => (typeof key === "symbol" ? String(key) : key));
      return `${pathText("data", steps)}: ${printable(issue.message)}`;
    })
    .join("; ");
}

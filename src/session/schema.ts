import type { Content } from "../codec/codec.ts";
import { pathText } from "../codec/path.ts";
import { LimitError, RefusedError, SchemaError, StoreError, ValueError } from "../errors.ts";
import { printable } from "../shared/printable.ts";
import type { Defaults } from "./defaults.ts";
import type { SessionFormat } from "./format.ts";
import { sameBytes } from "../shared/bytes.ts";
import type { StandardIssue, StandardSchema } from "./standard-schema.ts";

type AnySchema = StandardSchema<unknown, unknown>;

/** The settings that determine how stored data is presented to the application. */
interface SchemaSettings {
  readonly schema: AnySchema | undefined;
  readonly defaults: Defaults | undefined;
  readonly upgrade: ((old: unknown) => unknown) | undefined;
  readonly format: SessionFormat;
}

/**
 * Validates the content on save. Its data becomes the output of the schema.
 * @throws {SchemaError} naming the paths that do not fit
 */
export async function conformForSaving(
  settings: Pick<SchemaSettings, "schema" | "defaults" | "format">,
  content: Content,
): Promise<Content> {
  const { schema, format } = settings;
  if (schema === undefined) return content;
  if (isBare(content)) return withDefaults(settings, content);
  const result = await schema["~standard"].validate(content.data);
  if (result.issues !== undefined) {
    throw new SchemaError(
      `The session was not saved because its data does not match the schema: ${describe(result.issues)}.`,
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
  /** The stored bytes, if they contain keys that the schema strips; otherwise null. */
  readonly under: Uint8Array | null;
}

/**
 * Validates stored content, which another version of the application may have written. Data that does not fit passes
 * through `upgrade` once. Keys that `upgrade` drops are removed by the next save; keys that the schema strips stay
 * stored.
 * @param plaintext the stored bytes
 * @param content the same, decoded for this call
 * @throws {RefusedError} reason "schema": the data does not fit, or `schema` or `upgrade` threw
 */
export async function conformStored(
  settings: SchemaSettings,
  plaintext: Uint8Array,
  content: Content,
): Promise<Conforming> {
  try {
    return await conform(settings, plaintext, content);
  } catch (error) {
    // Fail closed: an `upgrade` may query a store, and an outage must not discard the session.
    if (error instanceof RefusedError || error instanceof StoreError) throw error;
    // Do not include its message, which may quote session data.
    throw new RefusedError(
      "schema",
      "`schema` or `upgrade` threw while it processed a stored session: see `cause`. Both must accept any data that an earlier release stored.",
      { cause: error },
    );
  }
}

async function conform(
  settings: SchemaSettings,
  plaintext: Uint8Array,
  content: Content,
): Promise<Conforming> {
  const { schema, upgrade, format } = settings;
  if (schema === undefined) return { content, plaintext, under: null };
  if (isBare(content)) {
    return seenAs(format, await withDefaults(settings, content), plaintext, plaintext);
  }
  let result = await schema["~standard"].validate(content.data);
  let under: Uint8Array | null = plaintext;
  if (result.issues !== undefined && upgrade !== undefined) {
    const data = await upgrade(content.data);
    result = await schema["~standard"].validate(data);
    // Encode before the application gets the data: the output may share objects that the application mutates.
    under = result.issues === undefined ? bytesOfUpgraded(format, { ...content, data }, plaintext) : null;
  }
  if (result.issues !== undefined) {
    throw new RefusedError(
      "schema",
      `The stored session does not match the schema: ${describe(result.issues)}.`,
    );
  }
  const seen = { ...content, data: dataOf(result.value) };
  format.flashInData?.write(seen.data, seen.flash); // the flash key belongs to the session, whatever the schema makes of it
  return seenAs(format, seen, plaintext, under);
}

function seenAs(
  format: SessionFormat,
  seen: Content,
  stored: Uint8Array,
  under: Uint8Array | null,
): Conforming {
  const bytes = format.encode(seen, stored);
  // Decode a copy: a schema may return the same default object each time, and sessions must not share it.
  const content = sameBytes(bytes, stored) ? seen : format.decode(bytes);
  return { content, plaintext: bytes, under: under !== null && sameBytes(bytes, under) ? null : under };
}

/**
 * Encodes upgraded data, including keys that the schema does not know. Null if only the output of the schema can be
 * stored.
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

async function withDefaults(
  { defaults, format }: Pick<SchemaSettings, "defaults" | "format">,
  content: Content,
): Promise<Content> {
  const bytes = (await defaults?.evaluate()) ?? null;
  return bytes === null ? content : { ...content, data: format.decode(bytes).data };
}

/** A session without data is not validated: it has no values yet. */
function isBare(content: Content): boolean {
  return Object.keys(content.data).length === 0;
}

function dataOf(value: unknown): Record<string, unknown> {
  if (isObject(value)) return value;
  throw new SchemaError("The schema must return an object, because session data is an object.", []);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Formats up to ten issues as path and message, without values. Keys are escaped: a visitor may have chosen them (R50). */
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

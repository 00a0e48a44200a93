import type { Content } from "../codec/codec.ts";
import { pathText } from "../codec/path.ts";
import { LimitError, RefusedError, SchemaError, StoreError, ValueError } from "../errors.ts";
import { printable } from "../shared/printable.ts";
import type { Defaults } from "./defaults.ts";
import type { SessionFormat } from "./format.ts";
import { sameBytes } from "../shared/bytes.ts";
import type { StandardIssue, StandardSchema } from "./standard-schema.ts";

type AnySchema = StandardSchema<unknown, unknown>;

/** The settings that decide what an application sees of stored data. */
interface SchemaSettings {
  readonly schema: AnySchema | undefined;
  readonly defaults: Defaults | undefined;
  readonly upgrade: ((old: unknown) => unknown) | undefined;
  readonly format: SessionFormat;
}

/**
 * The content with its data as the schema gives it.
 * @throws {SchemaError} naming where it does not fit
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
  return seenAs(format, seen, plaintext, under);
}

function seenAs(
  format: SessionFormat,
  seen: Content,
  stored: Uint8Array,
  under: Uint8Array | null,
): Conforming {
  const bytes = format.encode(seen, stored);
  // Schemas give the same object for a default time and again: what one visitor adds to it is not for the next.
  const content = sameBytes(bytes, stored) ? seen : format.decode(bytes);
  return { content, plaintext: bytes, under: under !== null && sameBytes(bytes, under) ? null : under };
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

async function withDefaults(
  { defaults, format }: Pick<SchemaSettings, "defaults" | "format">,
  content: Content,
): Promise<Content> {
  const bytes = (await defaults?.evaluate()) ?? null;
  return bytes === null ? content : { ...content, data: format.decode(bytes).data };
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

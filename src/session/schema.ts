import type { Content } from "../codec/codec.ts";
import { RefusedError, SchemaError } from "../errors.ts";

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

/**
 * The content with its data as the schema gives it.
 * @throws {SchemaError} naming where it does not fit
 */
export async function conformForSaving(schema: AnySchema, content: Content): Promise<Content> {
  if (isBare(content)) return content;
  const result = await schema["~standard"].validate(content.data);
  if (result.issues !== undefined) {
    throw new SchemaError(
      `The session does not fit its schema and was not saved: ${describe(result.issues)}.`,
      result.issues,
    );
  }
  return { ...content, data: dataOf(result.value) };
}

/**
 * The same for content that was stored, perhaps by an older version of the application: what does not fit goes
 * through `upgrade` once.
 * @throws {RefusedError} reason "schema"
 */
export async function conformStored(
  schema: AnySchema,
  upgrade: ((old: unknown) => unknown) | undefined,
  content: Content,
): Promise<Content> {
  if (isBare(content)) return content;
  let result = await schema["~standard"].validate(content.data);
  if (result.issues !== undefined && upgrade !== undefined) {
    result = await schema["~standard"].validate(await upgrade(content.data));
  }
  if (result.issues !== undefined) {
    throw new RefusedError(
      "schema",
      `The stored session does not fit the schema: ${describe(result.issues)}.`,
    );
  }
  return { ...content, data: dataOf(result.value) };
}

/** A session without data fits every schema: nobody has put anything there yet. */
function isBare(content: Content): boolean {
  return Object.keys(content.data).length === 0;
}

function dataOf(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new SchemaError("The schema must describe an object: a session's data is one.", []);
}

/** Issues as one sentence: where and what. At most ten, and never the values. */
function describe(issues: readonly StandardIssue[]): string {
  return issues
    .slice(0, 10)
    .map((issue) => {
      const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
      return `${["data", ...path].join(".")}: ${issue.message}`;
    })
    .join("; ");
}

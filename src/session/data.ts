/**
 * The type of session data, for the whole application. Augment this empty interface once to type `session.data` in every
 * framework:
 *
 * ```ts
 * declare module "stored-session" {
 *   interface SessionData { cart: { sku: string; at: Date }[] }
 * }
 * ```
 *
 * Alternatively, pass a type to one manager, `createSessionManager<MyData>(…)`, or let it be inferred from `schema`.
 *
 * Every key is optional, because a new session is empty. The exception is a schema with defaults for all required keys:
 * see {@link Complete}.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface SessionData {}

declare const complete: unique symbol;

/** Type-level mark of data that has all its keys from the start. See {@link Complete}. */
export interface CompleteMark<Data> {
  readonly [complete]?: Data;
}

/**
 * Data that is complete even in a new session, so that `session.data` is `Data` rather than `Partial<Data>`.
 * `createSessionManager({ schema })` infers it if every key of the schema is optional or has a default. For global types,
 * such as Express's `req.session`:
 *
 * ```ts
 * declare module "stored-session" {
 *   interface SessionData extends Complete<z.infer<typeof schema>> {}
 * }
 * ```
 */
export type Complete<Data> = Data & CompleteMark<Data>;

/** The type of `session.data`: {@link Complete} data as it is, other data as `Partial`. */
export type DataOf<Data> = symbol extends keyof Data
  ? Partial<Data>
  : typeof complete extends keyof Data
    ? NonNullable<Data[typeof complete]>
    : Partial<Data>;

/** {@link Complete} data without its mark; other data unchanged. */
export type Unmarked<Data> = symbol extends keyof Data
  ? Data
  : typeof complete extends keyof Data
    ? NonNullable<Data[typeof complete]>
    : Data;

/** The data type that a schema implies: {@link Complete} if the schema accepts `{}`. */
export type SchemaData<Data, Input> = unknown extends Input
  ? Data
  : Record<never, never> extends Input
    ? Complete<Data>
    : Data;

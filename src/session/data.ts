/**
 * What a session holds, for the whole application. Empty here; augment it once and every framework's
 * `session.data` is typed:
 *
 * ```ts
 * declare module "stored-session" {
 *   interface SessionData { cart: { sku: string; at: Date }[] }
 * }
 * ```
 *
 * Or give a type to one manager: `createSessionManager<MyData>(…)`, or let it be inferred from `schema`.
 *
 * Any key may be missing, as all are in a new session. Not so where a schema has defaults for every required key: see
 * {@link Complete}.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface SessionData {}

declare const complete: unique symbol;

/** Marks data that is whole from the start; see {@link Complete}. Exists in types only. */
export interface CompleteMark<Data> {
  readonly [complete]?: Data;
}

/**
 * The type of data of which no key is missing, not even in a new session: `session.data` is `Data`, where it would be
 * `Partial<Data>`. `createSessionManager({ schema })` infers it where every key of the schema is optional or has a
 * default. For the types that are global, such as that of Express's `req.session`:
 *
 * ```ts
 * declare module "stored-session" {
 *   interface SessionData extends Complete<z.infer<typeof schema>> {}
 * }
 * ```
 */
export type Complete<Data> = Data & CompleteMark<Data>;

/** The type of `session.data`: of {@link Complete} data the whole, of other data `Partial`. */
export type DataOf<Data> = symbol extends keyof Data
  ? Partial<Data>
  : typeof complete extends keyof Data
    ? NonNullable<Data[typeof complete]>
    : Partial<Data>;

/** {@link Complete} data without its mark; other data as it is. */
export type Unmarked<Data> = symbol extends keyof Data
  ? Data
  : typeof complete extends keyof Data
    ? NonNullable<Data[typeof complete]>
    : Data;

/** What a schema makes of `Data`: {@link Complete}, where `{}` is input that it accepts. */
export type SchemaData<Data, Input> = unknown extends Input
  ? Data
  : Record<never, never> extends Input
    ? Complete<Data>
    : Data;

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
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface SessionData {}

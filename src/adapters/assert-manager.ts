import { settingsOf, type SessionManager } from "../manager.ts";

/**
 * Rejects values that are not a session manager when an adapter is mounted. Otherwise the application would start, and
 * each request would fail with an error that names an internal property.
 * @throws {TypeError} not a SessionManager of this copy of the package
 */
export function assertManager(sessions: unknown): void {
  settingsOf(sessions as SessionManager<never>);
}

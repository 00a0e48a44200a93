import { settingsOf, type SessionManager } from "../manager.ts";

/**
 * Refuses what is no manager where an adapter is mounted. Without this the application starts, and each of its requests
 * fails with an error that names an internal property.
 * @throws {TypeError} not a SessionManager of this copy of the package
 */
export function assertManager(sessions: unknown): void {
  settingsOf(sessions as SessionManager<never>);
}

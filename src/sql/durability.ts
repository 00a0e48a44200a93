/** A setting that durability depends on (promise 7, R33). */
export interface DurabilitySetting {
  readonly name: string;
  readonly value: string;
  /** What this value can lose, as a clause that follows "so". Null if nothing. */
  readonly durabilityWarning: string | null;
}

/** Returns a sentence such as "fsync is off, so a power loss can destroy the database." for each weak setting. */
export function durabilityWarningsIn(settings: readonly DurabilitySetting[]): string[] {
  return settings
    .filter(({ durabilityWarning }) => durabilityWarning !== null)
    .map(({ name, value, durabilityWarning }) => `${name} is ${value}, so ${durabilityWarning}.`);
}

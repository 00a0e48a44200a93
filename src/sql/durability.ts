/** A setting on which "acknowledged is kept" rests (R33). */
export interface DurabilitySetting {
  readonly name: string;
  readonly value: string;
  /** What can be lost with this value, to be read after "so"; null when nothing can. */
  readonly durabilityWarning: string | null;
}

/** "fsync is off, so a power loss can destroy the database." for each setting that is too weak. */
export function durabilityWarningsIn(settings: readonly DurabilitySetting[]): string[] {
  return settings
    .filter(({ durabilityWarning }) => durabilityWarning !== null)
    .map(({ name, value, durabilityWarning }) => `${name} is ${value}, so ${durabilityWarning}.`);
}

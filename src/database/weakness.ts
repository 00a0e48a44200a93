/** Tells once, at the first use of a database, under which settings an acknowledged write may be lost (R33). */
export function warnOfWeaknesses(server: string, weaknesses: readonly string[]): void {
  for (const weakness of weaknesses) {
    process.emitWarning(`${server}: ${weakness}`, {
      type: "StoredSessionWarning",
      code: "STORED_SESSION_WEAK_DURABILITY",
      detail:
        "Stored Session promises that what was acknowledged is kept. Change the setting to hold it to that.",
    });
  }
}

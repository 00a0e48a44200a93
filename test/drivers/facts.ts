/** What each driver supports, as docs/drivers.md has it. `supports.test.ts` holds the drivers to it. */
export interface Fact {
  readonly driver: string;
  readonly batch: "one statement" | "one transaction";
  readonly late: "closed" | "cancelled" | "waits" | "–";
  readonly named: "yes" | "no" | "–";
  readonly leaks: "yes" | "no" | "–";
}

const fact = (
  driver: string,
  batch: Fact["batch"],
  late: Fact["late"],
  named: Fact["named"],
  leaks: Fact["leaks"],
): Fact => ({ driver, batch, late, named, leaks });

export const facts: readonly Fact[] = [
  fact("pg", "one statement", "closed", "yes", "yes"),
  fact("postgres.js", "one statement", "cancelled", "yes", "no"),
  fact("Bun's SQL", "one statement", "waits", "yes", "no"),
  fact("PGlite", "one statement", "waits", "no", "no"),
  fact("Neon's pool", "one statement", "closed", "yes", "yes"),
  fact("PGlite over its socket, with pg", "one statement", "closed", "no", "yes"),
  fact("mysql2", "one statement", "closed", "yes", "yes"),
  fact("mariadb", "one statement", "waits", "yes", "yes"),
  fact("node:sqlite, better-sqlite3, bun:sqlite", "one transaction", "–", "yes", "yes"),
  fact("libSQL", "one transaction", "waits", "–", "–"),
  fact("D1", "one transaction", "waits", "–", "–"),
  fact("Durable Object", "one transaction", "–", "–", "–"),
];

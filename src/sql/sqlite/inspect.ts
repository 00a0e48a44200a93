import type { DurabilitySetting } from "../durability.ts";
import type { Ask, Inspected } from "../inspection.ts";

export async function inspect(ask: Ask): Promise<Inspected> {
  const first = async (text: string) => String(Object.values(await ask(text))[0]);
  const level = Number(await first("PRAGMA synchronous"));
  const journal = (await first("PRAGMA journal_mode")).toUpperCase();
  const file = (await ask("PRAGMA database_list"))["file"];
  const durability: DurabilitySetting[] = [
    {
      name: "synchronous",
      value: ["OFF", "NORMAL", "FULL", "EXTRA"][level] ?? String(level),
      durabilityWarning: level < 2 ? "a power loss can undo acknowledged commits" : null,
    },
    {
      name: "journal_mode",
      value: journal,
      durabilityWarning: /^(OFF|MEMORY)$/.test(journal)
        ? "a crash during a write can destroy the file"
        : null,
    },
  ];
  return {
    server: `SQLite ${await first("SELECT sqlite_version()")}`,
    clock: null,
    readOnly: (await first("PRAGMA query_only")) === "1",
    durability: file ? durability : [],
    largestStatement: null,
  };
}

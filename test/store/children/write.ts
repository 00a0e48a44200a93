/** Writes until it is killed, and tells every acknowledged change on its standard output: `write.ts <path>`. */
import { writeSync } from "node:fs";
import { BatchingStore } from "../../../src/batching/batching-store.ts";
import { sqliteStore } from "../../../src/sql/sqlite/store.ts";
import { writeUntilKilled } from "./writing.ts";

function tell(line: string): void {
  try {
    writeSync(1, `${line}\n`);
  } catch {
    process.exit(1); // nobody listens any more
  }
}

tell("ready");
process.stdin.once("data", () => {
  void writeUntilKilled(new BatchingStore(sqliteStore(process.argv[2] as string)), tell);
});
process.stdin.once("end", () => process.exit(1));

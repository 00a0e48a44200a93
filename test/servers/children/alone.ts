/** Enters a part that only one process may be in: `alone.ts hold` stays there, `alone.ts pass` leaves it again. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { alone } from "../../../scripts/services/alone.ts";
import { workplace } from "../../../scripts/services/workplace.ts";

console.log("waiting");
await alone(async () => {
  if (process.argv[2] === "hold") {
    console.log("holding");
    await wait(600_000);
  }
  const inside = join(workplace(), "inside");
  writeFileSync(inside, "", { flag: "wx" }); // fails when another one is there
  await wait(5);
  rmSync(inside);
});
console.log("passed");

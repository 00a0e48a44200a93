/** Writes through a driver until it or the server is killed, and tells what was acknowledged: `write.ts DRIVER WHERE TABLE`. */
import { writeSync } from "node:fs";
import { writeUntilKilled } from "../../store/children/writing.ts";
import { handles } from "./handles.ts";

const [driver, where, table] = process.argv.slice(2) as [string, string, string];
const target = await handles[driver]!(where, table);
await target.migrate();
writeSync(1, "ready\n");
await writeUntilKilled(target, (line) => writeSync(1, `${line}\n`));
writeSync(1, "failed\n");

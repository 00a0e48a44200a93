/** Stored Session beside the stores and middlewares it competes with: run by `npm run bench`. */
import { measureHttp } from "./peers/http-level.ts";
import { readOptions } from "./peers/options.ts";
import { writeReport } from "./peers/report.ts";
import { measureStores } from "./peers/store-level.ts";

const options = readOptions(process.argv.slice(2));
const http = options.levels.includes("http") ? await measureHttp(options) : null;
const stores = options.levels.includes("store") ? await measureStores(options) : null;
const skipped = stores?.skipped ?? [];
for (const line of skipped) console.log(`skipped: ${line}`);
if (!http?.lines.length && !stores?.lines.length) {
  console.error(
    `Nothing was measured, and nothing was written: no candidate that could be started has ${options.only.join(" or ")} in its name.`,
  );
  process.exit(1);
}
writeReport(options, stores, http, skipped);
if (options.output) console.log(`written to ${options.output}`);
// Some of the stores keep timers that nothing ends.
process.exit(0);

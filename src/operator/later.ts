/** What no request needs, loaded as one file when it is first used. */
export { exportUser, exportUserStream, statsOf } from "./admin.ts";
export { eraseFromTrail } from "./audit-erasing.ts";
export { pruneTrail, retainTrail } from "./audit-pruning.ts";
export { countDays, listEvents } from "./audit-queries.ts";
export { censusOf } from "./census.ts";
export { revokeByLink } from "./links.ts";
export { resealRows } from "./reseal.ts";

/**
 * Throws on a Node that is too old, when the package is imported: later the error would be about some function that this
 * Node does not have. It comes before everything else, so no file may import by name what an older Node lacks.
 */
import { nodeProblem } from "./node-version.ts";

const problem = nodeProblem();
if (problem !== null) throw Object.assign(new Error(problem), { code: "ERR_STORED_SESSION_NODE" });

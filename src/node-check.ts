/**
 * Throws when the package is imported on a Node that is too old; a later error would name a function that this Node
 * lacks. It runs before everything else, so no file may import by name what an older Node lacks.
 */
import { nodeProblem } from "./node-version.ts";

const problem = nodeProblem();
if (problem !== null) throw Object.assign(new Error(problem), { code: "ERR_STORED_SESSION_NODE" });

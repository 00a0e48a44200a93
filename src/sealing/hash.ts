import * as crypto from "node:crypto";

/** Not a named import: Node before 20.12 would throw a SyntaxError instead of our message about the Node version. */
export const hash: typeof crypto.hash = crypto.hash;

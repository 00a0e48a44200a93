import * as crypto from "node:crypto";

/** Not imported by its name, which a Node before 20.12 answers with a SyntaxError in place of our message. */
export const hash: typeof crypto.hash = crypto.hash;

import { lstatSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { wrapped, type Terminal } from "./terminal.ts";

/**
 * Fills in what is not set from the `.env` of a folder. Like `node --env-file`, but a variable that is exported empty
 * counts as not set: CI systems export the secrets that they do not have that way.
 */
export function readEnvironmentFile({ cwd, env, err }: Terminal, folder: string = cwd): void {
  const path = resolve(folder, ".env");
  const kind = kindOf(path);
  // A folder of that name is somebody else's, such as a virtual environment of Python.
  if (kind === "none" || kind === "folder") return;
  if (kind === "other") {
    // Reading it could wait for ever.
    const warning = `Warning: ${path} is a pipe or a device, so it was not read. Export the variables in it instead.`;
    err.write(`${wrapped(err, warning)}\n`);
    return;
  }
  for (const [name, value] of Object.entries(parseEnv(readFileSync(path, "utf8"))))
    if (!env[name]?.trim()) env[name] = value;
}

/** What a path leads to. A link that leads nowhere is "dangling"; a pipe, a socket or a device is "other". */
export function kindOf(path: string): "none" | "dangling" | "file" | "folder" | "other" {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? "dangling" : "none";
  }
  return found.isFile() ? "file" : found.isDirectory() ? "folder" : "other";
}

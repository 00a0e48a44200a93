import { once } from "node:events";
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { finished } from "node:stream/promises";
import { printable } from "../shared/printable.ts";
import { exitCodes, Failure } from "./failure.ts";

interface Lines {
  write(line: string): Promise<void>;
  end(): Promise<void>;
}

/** Creates a file for the owner only. Never overwrites one. */
export function newFile(path: string): Lines {
  if (existsSync(path))
    throw new Failure(`${printable(path)} already exists. Choose another file name.`, exitCodes.usage);
  const stream = createWriteStream(path, { flags: "wx", mode: 0o600 });
  let failure: Error | null = null;
  stream.on("error", (error) => (failure = error));
  return {
    async write(line) {
      if (failure !== null) throw failure;
      if (!stream.write(`${line}\n`)) await once(stream, "drain");
    },
    async end() {
      stream.end();
      await finished(stream);
    },
  };
}

/** The hashes by checkpoint number in a file of JSON lines, as the `anchor` option wrote it. */
export function anchorsIn(path: string): Map<number, string> {
  const anchors = new Map<number, string>();
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line.trim() === "") continue;
    const { number: checkpoint, hash } = JSON.parse(line) as { number?: unknown; hash?: unknown };
    if (!Number.isSafeInteger(checkpoint) || typeof hash !== "string") {
      throw new Failure(
        `${printable(path)} has a line without "number" and "hash". Pass the file in which the anchor function keeps checkpoints.`,
        exitCodes.usage,
      );
    }
    anchors.set(checkpoint as number, hash);
  }
  return anchors;
}

import { once } from "node:events";
import { createReadStream, createWriteStream, existsSync, fsync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { promisify } from "node:util";
import { printable } from "../shared/printable.ts";
import { syncFolder } from "../shared/sync-folder.ts";
import { exitCodes, Failure } from "./failure.ts";

const syncFile = promisify(fsync);

interface Lines {
  write(line: string): Promise<void>;
  /** Resolves once everything that was written is on the disk. */
  sync(): Promise<void>;
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
    async sync() {
      await new Promise<void>((written, failed) =>
        stream.write("", (error) => (error ? failed(error) : written())),
      );
      await syncFile((stream as unknown as { readonly fd: number }).fd);
      await syncFolder(dirname(resolve(path)));
    },
    async end() {
      stream.end();
      await finished(stream);
    },
  };
}

/** The hashes by checkpoint number in a file of JSON lines, as the `anchor` option wrote it. */
export async function anchorsIn(path: string): Promise<Map<number, string>> {
  const anchors = new Map<number, string>();
  // A line at a time: a file of some months is larger than a string can be.
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    number++;
    if (line.trim() === "") continue;
    const { number: checkpoint, hash } = objectIn(line);
    if (!Number.isSafeInteger(checkpoint) || typeof hash !== "string") {
      throw new Failure(
        `Line ${number} of ${printable(path)} is not a checkpoint: a JSON object with "number" and "hash". Pass the file in which the anchor function keeps checkpoints. If its disk was full, the line may be cut off: remove it.`,
        exitCodes.usage,
      );
    }
    anchors.set(checkpoint as number, hash);
  }
  return anchors;
}

function objectIn(line: string): { readonly number?: unknown; readonly hash?: unknown } {
  try {
    return (JSON.parse(line) ?? {}) as object;
  } catch {
    return {};
  }
}

import { opendir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { reasonOf } from "../../shared/reason.ts";
import { exitCodes, Failure } from "../failure.ts";
import { shownStart } from "./left-out.ts";
import type { Library } from "./library.ts";
import type { SourceReader, SourceRow } from "./reader.ts";

/** The `ttl` of session-file-store. */
const usualLifetime = 3_600_000;
const usualExtension = ".json";

/** Sessions of session-file-store: a file of JSON for each, named after the session id. */
export class SessionFilesReader implements SourceReader {
  readonly #folder: string;
  readonly #extension: string;
  readonly #lifetime: number;
  #total = 0;

  /** @param lifetime milliseconds after the last use, of a session whose cookie has no `maxAge` */
  constructor(options: { folder: string; extension: string; lifetime: number }) {
    this.#folder = options.folder;
    this.#extension = options.extension;
    this.#lifetime = options.lifetime;
  }

  async begin(): Promise<void> {
    const there = await stat(this.#folder).catch(() => null);
    if (there?.isDirectory() !== true) {
      throw new Failure(
        `There is no directory ${this.#folder}. Pass the option \`path\` of session-file-store as --from. Nothing was changed.`,
        exitCodes.usage,
      );
    }
    let other = 0;
    for await (const sid of this.#ids()) {
      if (sid === null) other++;
      else this.#total++;
    }
    if (this.#total > 0 || other === 0) return;
    throw new Failure(
      `None of the ${other} files in ${this.#folder} ends with "${this.#extension}". Pass the option \`fileExtension\` of session-file-store as --file-extension. Nothing was changed.`,
      exitCodes.usage,
    );
  }

  async *pages(size: number): AsyncGenerator<SourceRow[]> {
    let ids: string[] = [];
    const page = async () =>
      (await Promise.all(ids.map((sid) => this.#read(sid)))).filter((row) => row !== null);
    for await (const sid of this.#ids()) {
      if (sid !== null) ids.push(sid);
      if (ids.length < size) continue;
      yield await page();
      ids = [];
    }
    if (ids.length > 0) yield await page();
  }

  fraction(read: number): number {
    return Math.min(1, read / this.#total);
  }

  async end(): Promise<void> {}

  find({ sid }: SourceRow): string | null {
    const start = shownStart(sid);
    const isPlain = start !== "" && /^[\w./-]+$/.test(this.#folder) && /^[\w.-]*$/.test(this.#extension);
    return isPlain ? `ls ${this.#folder}/${start}*${this.#extension}` : null;
  }

  async close(): Promise<void> {}

  /** Session ids by the names of the files; null for a file of another name. */
  async *#ids(): AsyncGenerator<string | null> {
    for await (const entry of await opendir(this.#folder)) {
      if (!entry.isFile()) continue;
      const sid = entry.name.slice(0, entry.name.length - this.#extension.length);
      yield entry.name.endsWith(this.#extension) && sid !== "" ? sid : null;
    }
  }

  /** Null where the session ended since the directory was read. */
  async #read(sid: string): Promise<SourceRow | null> {
    const text = await this.#textOf(sid);
    if (text === null) return null;
    const unreadable = (reason: string) => ({ sid, text, expiresAt: NaN, unreadable: reason });
    let session: unknown;
    try {
      session = JSON.parse(text);
    } catch {
      return unreadable(
        "not JSON; with the option `encoder` of session-file-store a file has a format of its own",
      );
    }
    if (isEncrypted(session)) throw this.#encrypted();
    if (typeof session !== "object" || session === null || Array.isArray(session))
      return unreadable("not an object");
    const { __lastAccess: used, ...rest } = session as Record<string, unknown>;
    if (typeof used !== "number")
      return unreadable("it has no __lastAccess, so session-file-store did not write it");
    return { sid, text: JSON.stringify(rest), expiresAt: used + this.#lifetimeOf(rest) };
  }

  async #textOf(sid: string): Promise<string | null> {
    try {
      return await readFile(join(this.#folder, `${sid}${this.#extension}`), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw new Failure(
        `A session file could not be read: ${reasonOf(error).replaceAll(sid, shownStart(sid) + "…")}. Run the command as the user of the application. What was imported until then stays: run the import again to continue.`,
        exitCodes.failed,
        { cause: error },
      );
    }
  }

  /** As session-file-store decides whether a session has expired. */
  #lifetimeOf({ cookie }: Record<string, unknown>): number {
    const { originalMaxAge } = (cookie ?? {}) as { originalMaxAge?: unknown };
    return typeof originalMaxAge === "number" && originalMaxAge !== 0 ? originalMaxAge : this.#lifetime;
  }

  #encrypted(): Failure {
    return new Failure(
      `The sessions in ${this.#folder} are encrypted: the application passes \`secret\` to session-file-store, whose encryption the command does not know. Let the application read each of them with its store, write them as lines of JSON, and use "import ndjson". Sessions that were imported before stay.`,
      exitCodes.usage,
    );
  }
}

/** What kruptein writes, the library that encrypts for session-file-store. */
function isEncrypted(session: unknown): boolean {
  return (
    typeof session === "object" &&
    session !== null &&
    "ct" in session &&
    "iv" in session &&
    !("cookie" in session)
  );
}

export const sessionFilesLibrary: Library = {
  name: "session-file-store",
  from: "directory",
  takes: ["fileExtension", "lifetime", "userPath"],
  open: ({ from, options, cwd }) =>
    new SessionFilesReader({
      folder: resolve(cwd, from),
      extension: options.fileExtension ?? usualExtension,
      lifetime: options.lifetime ?? usualLifetime,
    }),
};

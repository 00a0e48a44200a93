import { createReadStream, existsSync, statSync, type ReadStream } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { exitCodes, Failure } from "../failure.ts";
import { number } from "../../shared/wording.ts";
import type { Library } from "./library.ts";
import type { SourceReader, SourceRow } from "./reader.ts";

const properties = ["id", "data", "expires", "user"];

/** A line of the file. */
interface Line {
  readonly id: string;
  readonly data?: unknown;
  readonly expires?: unknown;
  readonly user?: unknown;
}

/** A file with a session in each line, as docs/cli.md describes it. */
export class NdjsonReader implements SourceReader {
  readonly #path: string;
  readonly #lifetime: number;
  readonly #now: () => number;
  #size = 0;
  #stream: ReadStream | undefined;
  #namesUsers = false;

  /** @param lifetime milliseconds from now on of a session without an end */
  constructor(options: { path: string; lifetime: number; now: () => number }) {
    this.#path = options.path;
    this.#lifetime = options.lifetime;
    this.#now = options.now;
  }

  get namesUsers(): boolean {
    return this.#namesUsers;
  }

  /** Reads the whole file: an export that was cut off or misspells a name is noticed before anything is written. */
  async begin(): Promise<void> {
    if (!existsSync(this.#path)) throw new Failure(`There is no file ${this.#path}.`, exitCodes.usage);
    const stat = statSync(this.#path);
    // It is read twice.
    if (!stat.isFile()) throw new Failure(`${this.#path} is not a file.`, exitCodes.usage);
    this.#size = stat.size;
    for await (const [{ user }] of this.#lines()) this.#namesUsers ||= (user ?? null) !== null;
  }

  async *pages(size: number): AsyncGenerator<SourceRow[]> {
    let page: SourceRow[] = [];
    for await (const [line, place] of this.#lines()) {
      page.push(this.#rowOf(line, place));
      if (page.length < size) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  fraction(): number {
    return Math.min(1, (this.#stream?.bytesRead ?? 0) / this.#size);
  }

  async end(): Promise<void> {}

  find({ place }: SourceRow): string | null {
    return /^[\w./-]+$/.test(this.#path) ? `sed -n ${place}p ${this.#path}` : null;
  }

  async close(): Promise<void> {
    this.#stream?.destroy();
  }

  #rowOf({ id, data, expires, user = null }: Line, place: number): SourceRow {
    const row = { sid: id, text: JSON.stringify(data) ?? "", expiresAt: this.#endOf(expires), place };
    if (user === null) return row;
    if (typeof user === "string" && user !== "") return { ...row, user };
    if (Number.isSafeInteger(user)) return { ...row, user: String(user) };
    return { ...row, unreadable: "its user is neither a text nor a whole number" };
  }

  /** Milliseconds, or ISO 8601 with its zone: without one it would be another moment on each machine. */
  #endOf(expires: unknown): number {
    if (expires === undefined || expires === null) return this.#now() + this.#lifetime;
    if (typeof expires === "number") return expires;
    const isInstant =
      typeof expires === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:?\d\d)$/i.test(expires);
    return isInstant ? Date.parse(expires) : NaN;
  }

  async *#lines(): AsyncGenerator<[Line, number]> {
    const stream = createReadStream(this.#path, "utf8");
    this.#stream = stream;
    try {
      let place = 0;
      for await (const text of createInterface({ input: stream, crlfDelay: Infinity })) {
        place++;
        const bare = place === 1 ? text.replace(/^\uFEFF/, "") : text;
        if (bare.trim() !== "") yield [this.#parsed(bare, place), place];
      }
    } finally {
      stream.destroy();
    }
  }

  #parsed(text: string, place: number): Line {
    const wrong = (what: string): Failure =>
      new Failure(
        `Line ${number(place)} of ${this.#path} ${what}. Correct the file or export it again. Nothing was changed.`,
        exitCodes.usage,
      );
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw wrong("is not JSON; the export may have been cut off");
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw wrong('is not an object such as {"id": "…", "expires": "…", "data": {…}}');
    }
    const unknown = Object.keys(value).find((name) => !properties.includes(name));
    if (unknown !== undefined) {
      throw wrong(`has the property ${JSON.stringify(unknown)}; use ${properties.join(", ")}`);
    }
    const { id } = value as { id?: unknown };
    if (typeof id !== "string" || id === "") throw wrong('has no "id", the session id as text');
    return value as Line;
  }
}

export const ndjsonLibrary: Library = {
  name: "ndjson",
  from: "file",
  takes: ["lifetime", "userPath"],
  open: ({ from, options, idleTimeout, now, cwd }) =>
    new NdjsonReader({ path: resolve(cwd, from), lifetime: options.lifetime ?? idleTimeout, now }),
};

import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { identityOf } from "./file.ts";
import { outsideRequests } from "../../shared/outside-requests.ts";
import type { SqliteHandle } from "./handle.ts";

/** Rows written between two checkpoints; each changes one to four pages of 4 KB. */
const ROWS = 512;
/**
 * Pages in the log, from which on SQLite itself checkpoints within a commit. The thread has written nearly all of
 * them back by then, so that little is left to do, and the log begins anew: it never grows far beyond 40 MB.
 */
const CAP = 10_000;
/** SQLite's own default, for when there is no thread. */
const WITHOUT_THREAD = 1_000;

/**
 * What the thread runs. Text, so that it needs no file of its own that a bundler would leave behind. A file that was
 * moved away is not made anew, and one that took its place is not written to.
 */
const PROGRAM = `
const { statSync } = require("node:fs");
const { parentPort, workerData } = require("node:worker_threads");
let database = null;
parentPort.on("message", (message) => {
  if (message === "close") {
    database?.close();
    parentPort.close();
    return;
  }
  const { path, identity } = workerData;
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  const isSame = found !== undefined && found.dev + ":" + found.ino === identity;
  if (database === null && isSame) {
    database = new (require("node:sqlite").DatabaseSync)(path);
  }
  if (isSame) database?.exec("PRAGMA wal_checkpoint(PASSIVE)");
  parentPort.postMessage("done");
});
`;

/**
 * Writes SQLite's log back into the file from a thread of its own, since that takes the event loop milliseconds
 * (decisions/0010). Nobody waits for it: a passive checkpoint neither blocks writers nor is blocked by them.
 *
 * The thread begins with the first {@link ROWS} rows and does not keep the process alive. Where there can be none,
 * SQLite checkpoints by itself, as it does by default. For a handle of node:sqlite on a file only: another SQLite
 * library in the process would break the locks of this one.
 */
export class SqliteCheckpoints {
  readonly #handle: SqliteHandle;
  readonly #path: string;
  readonly #identity: string | null;
  #worker: Worker | null = null;
  #state: "idle" | "busy" | "failed" | "closed" = "idle";
  #rows = 0;

  constructor(handle: SqliteHandle, path: string) {
    this.#handle = handle;
    this.#path = resolve(path);
    this.#identity = identityOf(this.#path);
    handle.exec(`PRAGMA wal_autocheckpoint = ${CAP}`);
  }

  /** To be called after each commit, outside of any transaction. */
  wrote(rows: number): void {
    this.#rows += rows;
    if (this.#rows < ROWS || this.#state !== "idle") return;
    this.#rows = 0;
    this.#state = "busy";
    try {
      this.#worker ??= outsideRequests(() => this.#start());
      this.#worker.postMessage("checkpoint");
    } catch {
      this.#fail();
    }
  }

  /** The thread lets go of the file; to be awaited before the handle is closed. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#state = "closed";
    this.#worker = null;
    if (!worker) return;
    const exited = new Promise((done) => worker.once("exit", done));
    worker.ref();
    worker.postMessage("close");
    await exited;
  }

  #start(): Worker {
    const worker = new Worker(PROGRAM, {
      eval: true,
      workerData: { path: this.#path, identity: this.#identity },
      // None of what the application preloads into its threads, and no second warning about node:sqlite.
      execArgv: ["--no-warnings"],
      env: {},
    });
    worker.on("message", () => {
      if (this.#state === "busy") this.#state = "idle";
    });
    worker.on("error", () => this.#fail());
    worker.on("exit", () => this.#fail());
    // After its listeners, since one for messages holds the process again.
    worker.unref();
    return worker;
  }

  #fail(): void {
    if (this.#state === "closed" || this.#state === "failed") return;
    this.#state = "failed";
    this.#worker = null;
    try {
      this.#handle.exec(`PRAGMA wal_autocheckpoint = ${WITHOUT_THREAD}`);
    } catch {
      // A handle that takes no statement will not be written to either.
    }
  }
}

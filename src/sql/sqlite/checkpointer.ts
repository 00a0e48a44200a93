import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { identityOf } from "./file.ts";
import { outsideRequests } from "../../shared/outside-requests.ts";
import type { SqliteHandle } from "./handle.ts";

/** Rows written between two checkpoints; each changes one to four pages of 4 KB. */
const ROWS = 512;
/**
 * Number of WAL pages from which SQLite itself checkpoints during a commit. By then the thread has written nearly all
 * pages back, so little is left to do and the WAL restarts: it stays near 40 MB.
 */
const CAP = 10_000;
/** SQLite's own default, used without a thread. */
const WITHOUT_THREAD = 1_000;

/**
 * The code of the thread, as text, so that no separate file can be lost in bundling. It does not recreate a file that
 * was moved away, and does not write to a replacement.
 */
const PROGRAM = `
const { statSync } = require("node:fs");
const { parentPort, workerData } = require("node:worker_threads");
let database = null;
parentPort.on("message", (message) => {
  if (message === "close") {
    database?.close();
    parentPort.postMessage("closed");
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
 * Checkpoints the WAL in a thread, because that would block the event loop for milliseconds (decisions/0010). Nothing
 * waits for it: a passive checkpoint neither blocks writers nor is blocked by them.
 *
 * The thread starts with the first {@link ROWS} rows and does not keep the process alive. Without a thread, SQLite
 * checkpoints by itself, as it does by default. Only for a node:sqlite handle of a file: another SQLite library in the
 * process would break the locks of this one.
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

  /** Call this after each commit, outside of any transaction. */
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

  /** Makes the thread close the file. Await this before closing the handle. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#state = "closed";
    this.#worker = null;
    if (!worker) return;
    // Deno's threads have no `parentPort.close()`, so the thread replies and is ended from here.
    const closed = new Promise<void>((done) => {
      worker.once("exit", () => done());
      worker.on("message", (message: unknown) => {
        if (message === "closed") done();
      });
    });
    worker.ref();
    worker.postMessage("close");
    await closed;
    await worker.terminate();
  }

  #start(): Worker {
    const worker = new Worker(PROGRAM, {
      eval: true,
      workerData: { path: this.#path, identity: this.#identity },
      // Without the modules that the application preloads into its threads, and without a second warning about
      // node:sqlite.
      execArgv: ["--no-warnings"],
      env: {},
    });
    worker.on("message", () => {
      if (this.#state === "busy") this.#state = "idle";
    });
    worker.on("error", () => this.#fail());
    worker.on("exit", () => this.#fail());
    // After adding listeners, because a message listener refs the thread again.
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
      // A handle that rejects statements is not written to either.
    }
  }
}

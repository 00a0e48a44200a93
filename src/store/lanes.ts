/** The maximum number of concurrent statements per kind, and of operations per statement. */
export interface Lanes {
  readonly read: number;
  readonly write: number;
  readonly maxBatch: number;
  /**
   * When operations are gathered into a batch. `immediate`: an operation waits for the end of the current turn of the event
   * loop, so that all operations of the turn form one batch (group commit on SQLite). `busy`: it waits only if other
   * operations are in flight, so that a single caller has no added latency (database servers). `none` (default): it is sent
   * immediately if a lane is free.
   */
  readonly gather?: "immediate" | "busy" | "none";
}

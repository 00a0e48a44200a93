/** How many statements of a kind may be under way at once, and how many operations one may carry. */
export interface Lanes {
  readonly read: number;
  readonly write: number;
  readonly maxBatch: number;
  /**
   * `immediate`: an operation waits for the end of the present turn of the event loop, so that all operations
   * of the turn leave as one batch (group commit on SQLite). `busy`: so it does while others are under way; one
   * that meets none goes at once (servers, where one caller waits for the answer only). `none`, the default: while
   * a lane is free an operation goes at once.
   */
  readonly gather?: "immediate" | "busy" | "none";
}

/** What was found wrong. */
export interface AuditProblem {
  readonly kind:
    /** an event was edited */
    | "edited"
    /** an event stands in another place than it was written to */
    | "moved"
    /** an event is a copy of another */
    | "copied"
    /** events were deleted */
    | "missing"
    /** an event was added that no process wrote */
    | "forged"
    /** all events of a writer are gone */
    | "writer removed"
    /** the events are not those that were signed, though they fit together: they were written anew */
    | "rewritten"
    /** the key of content was removed or changed, and not by an erasure: the event stays, its content cannot be read */
    | "content lost"
    | "checkpoint edited"
    | "checkpoint missing"
    /** a checkpoint that was signed with a key that is not known */
    | "checkpoint unknown key"
    /** a checkpoint is not the one that was anchored */
    | "anchor mismatch";
  /** The chain, in base64url. Absent for a checkpoint. */
  readonly chain?: string;
  /** First and last number of the events or checkpoints concerned. */
  readonly from: number;
  readonly to: number;
  /** A sentence. */
  readonly message: string;
  /** When the last good event or checkpoint before this was written. Null if there is none. */
  readonly at: Date | null;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly problems: readonly AuditProblem[];
  /** There are more problems than are listed. */
  readonly truncated: boolean;
  readonly events: number;
  readonly chains: number;
  readonly checkpoints: number;
  /** Events that no checkpoint covers yet. With the keys their codes were verified; without, nothing is proven of them. */
  readonly uncovered: number;
  /** Nothing is proven of what was written after this: the time of the last good checkpoint before the first problem. */
  readonly provenUntil: Date | null;
  /** The same by the checkpoints that are in the anchors. Null if none were given. */
  readonly anchoredUntil: Date | null;
}

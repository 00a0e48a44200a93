import { keyOf } from "../shared/bytes.ts";
import { SUBJECT_BYTES, type AuditRow, type AuditStore } from "../store/audit.ts";
import type { Subjects } from "./subjects.ts";

/** Keys whose state is remembered, so that memory stays bounded. */
const MOST_KNOWN = 20_000;
const MOST_LOST = 1_000;

type State = "open" | "erased" | "closed" | "removed";

/**
 * The keys of events' content are in a table of their own, which no chain covers. A key that was erased leaves a proof of that;
 * one that is gone, or does not open although that of the chain beside it does, was removed by somebody else.
 */
export class ContentKeys {
  readonly #store: Pick<AuditStore, "subjects">;
  readonly #subjects: Pick<Subjects, "stateOf">;
  readonly #known = new Map<string, State>();
  readonly #waiting = new Map<string, AuditRow>();
  readonly #lost = new Map<string, AuditRow>();

  constructor(store: Pick<AuditStore, "subjects">, subjects: Pick<Subjects, "stateOf">) {
    this.#store = store;
    this.#subjects = subjects;
  }

  /** @param row an event that is as it was written */
  add(row: AuditRow): void {
    const key = keyOf(subjectOf(row));
    const lost = this.#lost.get(key);
    if (lost === undefined) {
      if (!this.#waiting.has(key)) this.#waiting.set(key, row);
    } else if (Buffer.compare(row.position, lost.position) < 0) this.#lost.set(key, row);
  }

  /** Looks at the keys of the events that were added since the last call. */
  async look(): Promise<void> {
    const rows = [...this.#waiting.values()];
    this.#waiting.clear();
    const wanted = new Map(
      rows.flatMap((row) => [subjectOf(row), chainKeyOf(row)]).map((id) => [keyOf(id), id] as const),
    );
    const unknown = [...wanted].filter(([key]) => !this.#known.has(key));
    if (this.#known.size + unknown.length > MOST_KNOWN) {
      this.#known.clear();
      unknown.splice(0, Infinity, ...wanted);
    }
    for (const [key] of unknown) this.#known.set(key, "removed");
    const ids = unknown.map(([, id]) => id);
    for (const row of ids.length === 0 ? [] : await this.#store.subjects(ids)) {
      this.#known.set(keyOf(row.subject), this.#subjects.stateOf(row));
    }
    for (const row of rows) {
      const state = this.#known.get(keyOf(subjectOf(row)));
      // Where the key of the chain does not open either, another application wrote it.
      const isOthers = state === "closed" && this.#known.get(keyOf(chainKeyOf(row))) !== "open";
      if (state === "open" || state === "erased" || isOthers || this.#lost.size >= MOST_LOST) continue;
      this.#lost.set(keyOf(subjectOf(row)), row);
    }
  }

  /** Of each key that is lost, the event with the lowest position. */
  get lost(): readonly AuditRow[] {
    return [...this.#lost.values()];
  }
}

function subjectOf(row: AuditRow): Uint8Array {
  return row.subject ?? chainKeyOf(row);
}

function chainKeyOf({ position }: AuditRow): Uint8Array {
  return position.slice(0, SUBJECT_BYTES);
}

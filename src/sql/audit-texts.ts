/**
 * Longer than 300 lines: one short method for each statement, and one for each kind of row.
 */
/** The statements of the audit trail. They are the same on every database, except for what {@link Portable} provides. */
import { boundedCountIn, boundedIn, integerIn, LATEST } from "./columns.ts";
import { marks, padded, type Portable } from "./portable.ts";
import {
  CHAIN_BYTES,
  countOf,
  DAY,
  slotOf,
  type AuditCheckpoint,
  type AuditQuery,
  type AuditRow,
  type AuditSubject,
  type DayCount,
  type EndedRow,
} from "../store/audit.ts";
import type { SessionLimit } from "../store/session-limit.ts";
import type { Names } from "./dialect.ts";
import type { Statement } from "./statement.ts";
import type { SqlValue } from "./values.ts";

type Row = Readonly<Record<string, unknown>>;

/** Of the codes and counts of an event. Beyond it, the event was edited. */
const MOST_CODE = 2 ** 31;

const EVENT_COLUMNS = "id, created_at, event, outcome, device, amount, session_id, subject, hash, mac";

/** Statements and rows for tables of these names. */
export class AuditTexts {
  readonly #portable: Portable;
  readonly #names: () => Names;

  /** @param names asked anew each time, because a pool finds out late in which schema the tables are */
  constructor(portable: Portable, names: () => Names) {
    this.#portable = portable;
    this.#names = names;
  }

  append(rows: readonly AuditRow[]): Statement {
    const list = rows.map(() => "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)").join(", ");
    return this.#write(
      `INSERT INTO ${this.#names().audit} (${EVENT_COLUMNS}, ${this.#portable.quoted("body")}) VALUES ${list}`,
      rows.flatMap((row) => [
        row.position,
        row.at,
        row.event,
        row.outcome,
        row.device,
        row.amount,
        row.session,
        row.subject,
        row.hash,
        row.mac,
        row.body,
      ]),
    );
  }

  events(after: Uint8Array, through: Uint8Array, limit: number): Statement {
    const { audit } = this.#names();
    return this.#read(
      `SELECT ${this.#eventColumns()} FROM ${audit} e WHERE e.id > ? AND e.id <= ? ORDER BY e.id LIMIT ${limit}`,
      [after, through],
    );
  }

  find(query: AuditQuery): Statement {
    const { since, until, subjects, session, events, after, newestFirst, limit } = query;
    const conditions: string[] = ["e.created_at >= ?"];
    const values: SqlValue[] = [since ?? 0];
    const add = (condition: string, ...bound: readonly SqlValue[]): void => {
      conditions.push(condition);
      values.push(...bound);
    };
    const inList = (column: string, list: readonly SqlValue[]): void => {
      const some = padded(list);
      add(`${column} IN (${marks(some)})`, ...some);
    };
    if (until !== undefined) add("e.created_at < ?", until);
    if (subjects) inList("e.subject", subjects);
    if (session) add("e.session_id = ?", session);
    if (events) inList("e.event", events);
    const [beyond, order] = newestFirst ? ["<", "DESC"] : [">", "ASC"];
    if (after) {
      const { at, position } = after;
      add(`(e.created_at ${beyond} ? OR (e.created_at = ? AND e.id ${beyond} ?))`, at, at, position);
      add(`e.created_at ${beyond}= ?`, at);
    }
    const { audit } = this.#names();
    return this.#read(
      `SELECT ${this.#eventColumns()} FROM ${audit} e WHERE ${conditions.join(" AND ")} ORDER BY e.created_at ${order}, e.id ${order} LIMIT ${limit}`,
      values,
    );
  }

  /**
   * From chain to chain along the primary key, because a GROUP BY would read every event. Null where the database cannot:
   * see {@link around}.
   */
  heads(after: Uint8Array, limit: number): Statement | null {
    const { audit } = this.#names();
    const { endOfChain } = this.#portable;
    if (endOfChain === null) return null;
    const end = endOfChain("c.first", CHAIN_BYTES);
    const next = (condition: string): string =>
      `(SELECT e.id FROM ${audit} e WHERE e.id > ${condition} ORDER BY e.id LIMIT 1)`;
    const head = `(SELECT e.id FROM ${audit} e WHERE e.id <= ${end} ORDER BY e.id DESC LIMIT 1)`;
    return this.#read(
      `WITH RECURSIVE c AS (SELECT ${next("?")} AS first, 1 AS place UNION ALL SELECT ${next(end)}, c.place + 1 FROM c ` +
        `WHERE c.first IS NOT NULL AND c.place < ${limit}) SELECT ${this.#portable.bytes("id")} FROM ` +
        `(SELECT ${head} AS id FROM c WHERE c.first IS NOT NULL) h LIMIT ${limit}`,
      [after],
    );
  }

  /** The last event from `begin` through `end`, and the first after it. */
  around(begin: Uint8Array, end: Uint8Array): Statement {
    const { audit } = this.#names();
    return this.#read(
      `SELECT ${this.#portable.bytes("id")} FROM (SELECT id FROM (SELECT e.id FROM ${audit} e WHERE e.id >= ? AND e.id <= ? ORDER BY e.id DESC LIMIT 1) l ` +
        `UNION ALL SELECT id FROM (SELECT e.id FROM ${audit} e WHERE e.id > ? ORDER BY e.id LIMIT 1) n) h`,
      [begin, end, end],
    );
  }

  subjects(ids: readonly Uint8Array[]): Statement {
    const some = padded(ids);
    return this.#selectSubjects(`subject IN (${marks(some)}) LIMIT ${some.length}`, some);
  }

  subjectsOf(userRefs: readonly Uint8Array[], limit: number): Statement {
    const some = padded(userRefs);
    return this.#selectSubjects(`user_ref IN (${marks(some)}) LIMIT ${limit}`, some);
  }

  scanSubjects(after: Uint8Array, limit: number): Statement {
    return this.#selectSubjects(`subject > ? ORDER BY s.subject LIMIT ${limit}`, [after]);
  }

  #selectSubjects(condition: string, values: readonly SqlValue[]): Statement {
    const { bytes } = this.#portable;
    const columns = ["subject", "user_ref", "wrapped"].map(bytes).join(", ");
    const { auditSubjects } = this.#names();
    return this.#read(
      `SELECT ${columns}, ${this.#time("erased_at")} FROM ${auditSubjects} s WHERE ${condition}`,
      values,
    );
  }

  addSubjects(subjects: readonly AuditSubject[]): Statement {
    const [begin, end] = this.#portable.insertIgnore;
    const list = subjects.map(() => "(?, ?, ?, ?)").join(", ");
    return this.#write(
      `${begin} ${this.#names().auditSubjects} (subject, user_ref, wrapped, erased_at) VALUES ${list}${end}`,
      subjects.flatMap(({ subject, userRef, wrapped, erasedAt }) => [subject, userRef, wrapped, erasedAt]),
    );
  }

  rewrap(
    { subject, wrapped: before }: AuditSubject,
    userRef: Uint8Array | null,
    wrapped: Uint8Array,
  ): Statement {
    return this.#write(
      `UPDATE ${this.#names().auditSubjects} SET user_ref = ?, wrapped = ? WHERE subject = ? AND wrapped = ?`,
      [userRef, wrapped, subject, before],
    );
  }

  eraseSubject({ subject, wrapped, erasedAt }: AuditSubject): Statement {
    return this.#write(
      `UPDATE ${this.#names().auditSubjects} SET user_ref = NULL, wrapped = ?, erased_at = ? WHERE erased_at = 0 AND subject = ?`,
      [wrapped, erasedAt, subject],
    );
  }

  checkpoints(after: number, limit: number, kind?: number): Statement {
    const ofKind = kind === undefined ? "" : " AND kind = ?";
    const values = kind === undefined ? [after] : [after, kind];
    return this.#selectCheckpoints(`number > ?${ofKind} ORDER BY c.number LIMIT ${limit}`, values);
  }

  lastCheckpoint(kind?: number): Statement {
    const [condition, value] = kind === undefined ? ["number > ?", 0] : ["kind = ?", kind];
    return this.#selectCheckpoints(`${condition} ORDER BY c.number DESC LIMIT 1`, [value]);
  }

  #selectCheckpoints(condition: string, values: readonly SqlValue[]): Statement {
    const { bytes } = this.#portable;
    const { auditCheckpoints } = this.#names();
    return this.#read(
      `SELECT ${this.#time("number")}, ${this.#time("created_at")}, ${this.#portable.integer("kind", MOST_CODE)}, ${bytes("body")}, ${bytes("signature")} FROM ${auditCheckpoints} c WHERE ${condition}`,
      values,
    );
  }

  addCheckpoint({ number, at, kind, body, signature }: AuditCheckpoint): Statement {
    const { insertIgnore, quoted } = this.#portable;
    const [begin, end] = insertIgnore;
    return this.#write(
      `${begin} ${this.#names().auditCheckpoints} (number, created_at, kind, ${quoted("body")}, signature) VALUES (?, ?, ?, ?, ?)${end}`,
      [number, at, kind, body, signature],
    );
  }

  addToDay(count: DayCount): Statement {
    return this.#write(`UPDATE ${this.#names().auditDays} SET amount = amount + ? WHERE slot = ?`, [
      count.count,
      slotOf(count),
    ]);
  }

  addDay(count: DayCount): Statement {
    return this.#write(`INSERT INTO ${this.#names().auditDays} (slot, amount) VALUES (?, ?)`, [
      slotOf(count),
      count.count,
    ]);
  }

  count(since: number, until: number): Statement {
    return this.#count("created_at >= ? AND created_at < ?", [since, until]);
  }

  countChain(first: Uint8Array, last: Uint8Array): Statement {
    return this.#count("id >= ? AND id <= ?", [first, last]);
  }

  #count(condition: string, values: readonly SqlValue[]): Statement {
    const { audit } = this.#names();
    // What was edited to a number beyond those that are written fails neither the sum nor the client library.
    const codes = ["event", "outcome", "device", "amount"].map((column) =>
      this.#portable.integer(column, MOST_CODE),
    );
    const statement = this.#read(
      `SELECT day, event, outcome, device, SUM(amount) AS amount FROM (SELECT created_at - created_at % ${DAY} AS day, ` +
        `${codes.join(", ")} FROM ${audit} WHERE ${condition}) d GROUP BY day, event, outcome, device LIMIT 1000000`,
      values,
    );
    return { ...statement, long: true };
  }

  days(sinceDay: number, untilDay: number): Statement {
    const slot = (day: number): number => slotOf({ day, event: 0, outcome: 0, device: 0 });
    return this.#read(
      `SELECT slot, ${this.#portable.integer("amount", Number.MAX_SAFE_INTEGER)} FROM ${this.#names().auditDays} d WHERE slot >= ? AND slot < ? ORDER BY d.slot LIMIT 1000000`,
      [slot(sinceDay), slot(untilDay)],
    );
  }

  /** Positions of the last events of a range, from the end. */
  lastEvents(first: Uint8Array, last: Uint8Array, limit: number): Statement {
    return this.#read(
      `SELECT ${this.#portable.bytes("id")} FROM ${this.#names().audit} e WHERE e.id >= ? AND e.id <= ? ORDER BY e.id DESC LIMIT ${limit}`,
      [first, last],
    );
  }

  deleteEvents(first: Uint8Array, last: Uint8Array): Statement {
    return this.#write(`DELETE FROM ${this.#names().audit} WHERE id >= ? AND id <= ?`, [first, last]);
  }

  deleteSubject(subject: Uint8Array): Statement {
    return this.#write(`DELETE FROM ${this.#names().auditSubjects} WHERE subject = ?`, [subject]);
  }

  deleteCheckpoints(from: number, before: number): Statement {
    return this.#write(`DELETE FROM ${this.#names().auditCheckpoints} WHERE number >= ? AND number < ?`, [
      from,
      before,
    ]);
  }

  /** The rows of these ids, locked until the transaction ends. */
  lockRows(ids: readonly Uint8Array[]): Statement {
    const some = padded(ids);
    return this.#lock(`id IN (${marks(some)})`, some, this.#portable.forUpdate);
  }

  ends(ids: readonly Uint8Array[]): Statement {
    const some = padded(ids);
    return this.#lock(`id IN (${marks(some)})`, some, "");
  }

  usersRows(userRefs: readonly Uint8Array[], locked: boolean): Statement {
    const some = padded(userRefs);
    return this.#lock(`user_ref IN (${marks(some)})`, some, locked ? this.#portable.forUpdate : "");
  }

  /** Rows of a user that may count for a limit. Not locked: a row that gets a new id meanwhile would be missed. */
  liveRows({ userRefs, now }: SessionLimit, locked: boolean): Statement {
    const some = padded(userRefs);
    const condition = `user_ref IS NOT NULL AND user_ref IN (${marks(some)}) AND expires_at > ?`;
    return this.#lock(condition, [...some, now], locked ? this.#portable.forUpdate : "");
  }

  #lock(condition: string, values: readonly SqlValue[], forUpdate: string): Statement {
    const { bytes } = this.#portable;
    const times = ["created_at", "updated_at", "absolute_expires_at", "expires_at"].map((column) =>
      this.#time(column),
    );
    return this.#read(
      `SELECT ${bytes("id")}, ${bytes("user_ref")}, ${times.join(", ")} FROM ${this.#names().sessions} s WHERE ${condition} ORDER BY s.id LIMIT 1000000${forUpdate}`,
      values,
    );
  }

  position(row: Row): Uint8Array {
    return this.#bytes(row, "id");
  }

  ended(row: Row): EndedRow {
    return {
      id: this.#bytes(row, "id"),
      userRef: this.#portable.bytesIn(row, "user_ref"),
      createdAt: boundedIn(row, "created_at"),
      updatedAt: boundedIn(row, "updated_at"),
      absoluteExpiresAt: boundedIn(row, "absolute_expires_at"),
      expiresAt: boundedIn(row, "expires_at"),
    };
  }

  event(row: Row): AuditRow {
    return {
      position: this.#bytes(row, "id"),
      at: boundedIn(row, "created_at"),
      event: integerIn(row, "event"),
      outcome: integerIn(row, "outcome"),
      device: integerIn(row, "device"),
      amount: integerIn(row, "amount"),
      session: this.#portable.bytesIn(row, "session_id"),
      subject: this.#portable.bytesIn(row, "subject"),
      body: this.#bytes(row, "body"),
      hash: this.#bytes(row, "hash"),
      mac: this.#bytes(row, "mac"),
    };
  }

  subject(row: Row): AuditSubject {
    return {
      subject: this.#bytes(row, "subject"),
      userRef: this.#portable.bytesIn(row, "user_ref"),
      wrapped: this.#bytes(row, "wrapped"),
      erasedAt: boundedIn(row, "erased_at"),
    };
  }

  checkpoint(row: Row): AuditCheckpoint {
    return {
      number: boundedIn(row, "number"),
      at: boundedIn(row, "created_at"),
      kind: integerIn(row, "kind"),
      body: this.#bytes(row, "body"),
      signature: this.#bytes(row, "signature"),
    };
  }

  dayCount(row: Row): DayCount {
    return {
      day: boundedIn(row, "day") / DAY,
      event: integerIn(row, "event"),
      outcome: integerIn(row, "outcome"),
      device: integerIn(row, "device"),
      count: boundedCountIn(row, "amount"),
    };
  }

  prunedCount(row: Row): DayCount {
    return countOf(integerIn(row, "slot"), boundedCountIn(row, "amount"));
  }

  #eventColumns(): string {
    const { bytes } = this.#portable;
    const columns = ["id", "session_id", "subject", "hash", "mac", "body"].map(bytes);
    const codes = ["event", "outcome", "device", "amount"].map((column) =>
      this.#portable.integer(column, MOST_CODE),
    );
    return [this.#time("created_at"), ...codes, ...columns].join(", ");
  }

  #time(column: string): string {
    return this.#portable.integer(column, LATEST);
  }

  #bytes(row: Row, column: string): Uint8Array {
    return this.#portable.bytesIn(row, column) ?? new Uint8Array(0);
  }

  #read(text: string, values: readonly SqlValue[]): Statement {
    const { text: written, bind } = this.#portable;
    const bound = values.map((value) => (value instanceof Uint8Array ? bind(value) : value));
    return { text: written(text), values: bound, writes: false };
  }

  #write(text: string, values: readonly SqlValue[]): Statement {
    return { ...this.#read(text, values), writes: true };
  }
}

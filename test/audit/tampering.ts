/** Random tamperings of a trail by SQL, and what verification has to say of each. */
import { randomBytes, randomInt } from "node:crypto";
import type { AuditProblem, VerifyReport } from "../../src/audit/report.ts";
import type { SqlStore } from "../../src/sql/sql-store.ts";
import { AuditTexts } from "../../src/sql/audit-texts.ts";
import {
  chainOf,
  numberOf,
  positionOf,
  type AuditCheckpoint,
  type AuditRow,
  type AuditSubject,
} from "../../src/store/audit.ts";
import type { Statement } from "../../src/sql/statement.ts";

type Expected = Pick<AuditProblem, "from" | "to"> & {
  readonly kinds: readonly AuditProblem["kind"][];
  readonly chain?: string;
};

export interface Tampering {
  readonly name: string;
  readonly expected: readonly Expected[];
  /** When the first thing was written that was changed or removed: nothing from then on may count as proven. */
  readonly since?: number;
}

const pick = <Item>(items: readonly Item[]): Item => items[randomInt(items.length)]!;
const bytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
const nameOf = (chain: Uint8Array): string => Buffer.from(chain).toString("base64url");
/** More than a number can hold exactly; `node:sqlite` throws for it. */
const BEYOND = 2 ** 62;
const key = (some: Uint8Array): string => Buffer.from(some).toString("hex");

/** A trail in the tables of a store, which can be put back as it was. */
export class Victim {
  readonly #store: SqlStore;
  readonly #texts: AuditTexts;
  readonly #events: readonly AuditRow[];
  readonly #checkpoints: readonly AuditCheckpoint[];
  readonly #subjects: readonly AuditSubject[];
  /** The last number of each chain that a checkpoint covers. */
  readonly #covered: ReadonlyMap<string, number>;

  private constructor(
    store: SqlStore,
    events: readonly AuditRow[],
    checkpoints: readonly AuditCheckpoint[],
    subjects: readonly AuditSubject[],
    covered: ReadonlyMap<string, number>,
  ) {
    this.#store = store;
    this.#texts = new AuditTexts(store.database.dialect.portable, () => store.database.dialect.names);
    this.#events = events;
    this.#checkpoints = checkpoints;
    this.#subjects = subjects;
    this.#covered = covered;
  }

  static async of(store: SqlStore, covered: ReadonlyMap<string, number>): Promise<Victim> {
    const all = new Uint8Array(32).fill(255);
    const events = await store.audit!.events(new Uint8Array(32), all, 100_000);
    const checkpoints = await store.audit!.checkpoints(0, 100_000);
    return new Victim(store, events, checkpoints, await store.audit!.scanSubjects(null, 100_000), covered);
  }

  get anchors(): ReadonlyMap<number, string> {
    return this.#anchors;
  }
  #anchors = new Map<number, string>();
  anchor(number: number, hash: string): void {
    this.#anchors.set(number, hash);
  }

  async restore(): Promise<void> {
    const { names } = this.#store.database.dialect;
    await this.#run(`DELETE FROM ${names.audit}`);
    await this.#run(`DELETE FROM ${names.auditCheckpoints}`);
    for (let at = 0; at < this.#events.length; at += 100) {
      await this.#store.database.run(this.#texts.append(this.#events.slice(at, at + 100)));
    }
    for (const checkpoint of this.#checkpoints) await this.#store.audit!.addCheckpoint(checkpoint);
    await this.#run(`DELETE FROM ${names.auditSubjects}`);
    await this.#store.audit!.addSubjects(this.#subjects);
  }

  async tamper(): Promise<Tampering> {
    const ways = [
      () => this.#edit(),
      () => this.#delete(),
      () => this.#swap(),
      () => this.#insert(),
      () => this.#copy(),
      () => this.#truncate(),
      () => this.#dropWriter(),
      () => this.#editCheckpoint(),
      () => this.#deleteCheckpoint(),
      () => this.#swapCheckpoints(),
      () => this.#removeKey(),
    ];
    return await pick(ways)();
  }

  async #edit(): Promise<Tampering> {
    const row = pick(this.#events);
    const edits: Record<string, (row: AuditRow) => AuditRow> = {
      at: (one) => ({ ...one, at: pick([one.at - 1, one.at + 1, one.at + 86_400_000, BEYOND, -BEYOND]) }),
      event: (one) => ({ ...one, event: pick([one.event + 1, this.#beyond]) }),
      outcome: (one) => ({ ...one, outcome: one.outcome ^ 1 }),
      device: (one) => ({ ...one, device: one.device ^ 1 }),
      amount: (one) => ({ ...one, amount: pick([one.amount + 1, this.#beyond]) }),
      session: (one) => ({ ...one, session: one.session ? pick([null, bytes(32)]) : bytes(32) }),
      subject: (one) => ({ ...one, subject: one.subject ? pick([null, bytes(16)]) : bytes(16) }),
      body: (one) => ({ ...one, body: pick([flipped(one.body), one.body.slice(1), new Uint8Array(0)]) }),
      hash: (one) => ({ ...one, hash: flipped(one.hash) }),
      mac: (one) => ({ ...one, mac: flipped(one.mac) }),
      "hash and mac": (one) => ({ ...one, hash: bytes(32), mac: bytes(16) }),
    };
    const [name, edit] = pick(Object.entries(edits));
    await this.#put(edit(row));
    return {
      since: row.at,
      name: `edit ${name}`,
      expected: [this.#at(row, this.#isCovered(row) ? ["edited"] : ["edited", "forged"])],
    };
  }

  async #delete(): Promise<Tampering> {
    const chain = pick(this.#chains());
    const reach = Math.max(this.#coveredOf(chain), chain.length - 1);
    const from = randomInt(1, reach + 1);
    const to = Math.min(from + randomInt(3), reach);
    const doomed = chain.slice(from - 1, to);
    if (doomed.length === chain.length) return await this.#dropWriter();
    for (const row of doomed) await this.#remove(row);
    return {
      since: doomed[0]!.at,
      name: "delete",
      expected: [{ ...this.#at(chain[0]!, ["missing"]), from, to }],
    };
  }

  async #swap(): Promise<Tampering> {
    const [a, b] = this.#two();
    await this.#put({ ...a, position: b.position });
    await this.#put({ ...b, position: a.position });
    return {
      since: Math.min(a.at, b.at),
      name: "swap",
      expected: [this.#at(a, ["moved"]), this.#at(b, ["moved"])],
    };
  }

  async #insert(): Promise<Tampering> {
    const model = pick(this.#events);
    const chain = pick(this.#chains());
    const place = pick([
      positionOf(chainOf(chain[0]!.position), chain.length + 1),
      positionOf(chainOf(chain[0]!.position), chain.length + randomInt(2, 100)),
      positionOf(chainOf(chain[0]!.position), 0),
      positionOf(bytes(24), 1),
      positionOf(bytes(24), randomInt(2, 100)),
    ]);
    const forged = { ...model, position: place, hash: pick([bytes(32), model.hash]), mac: bytes(16) };
    await this.#add(forged);
    return { name: "insert", expected: [this.#at(forged, ["forged"])] };
  }

  /** At the end of a chain, or over one of its events. */
  async #copy(): Promise<Tampering> {
    const [model, victim] = this.#two();
    if (randomInt(2) === 0) {
      await this.#put({ ...model, position: victim.position });
      return { since: victim.at, name: "copy over", expected: [this.#at(victim, ["copied"])] };
    }
    const chain = pick(this.#chains());
    const copy = { ...model, position: positionOf(chainOf(chain[0]!.position), chain.length + 1) };
    await this.#add(copy);
    return { name: "copy to the end", expected: [this.#at(copy, ["copied"])] };
  }

  async #truncate(): Promise<Tampering> {
    const chain = pick(this.#chains());
    const covered = this.#coveredOf(chain);
    if (covered < 2) return await this.#dropWriter();
    const kept = randomInt(1, covered);
    for (const row of chain.slice(kept)) await this.#remove(row);
    return {
      since: chain[kept]!.at,
      name: "truncate",
      expected: [{ ...this.#at(chain[0]!, ["missing"]), from: kept + 1, to: covered }],
    };
  }

  async #dropWriter(): Promise<Tampering> {
    const chain = pick(this.#chains().filter((one) => this.#coveredOf(one) > 0));
    for (const row of chain) await this.#remove(row);
    const to = this.#coveredOf(chain);
    return {
      since: chain[0]!.at,
      name: "drop a writer",
      expected: [{ ...this.#at(chain[0]!, ["writer removed"]), from: 1, to }],
    };
  }

  async #editCheckpoint(): Promise<Tampering> {
    const one = pick(this.#checkpoints);
    const edits: Record<string, AuditCheckpoint> = {
      body: { ...one, body: flipped(one.body) },
      signature: { ...one, signature: flipped(one.signature) },
      created_at: { ...one, at: pick([one.at + 1, BEYOND]) },
      kind: { ...one, kind: one.kind + 1 },
      "too short": { ...one, body: one.body.slice(0, 10) },
    };
    const [name, edited] = pick(Object.entries(edits));
    await this.#removeCheckpoint(one.number);
    await this.#store.audit!.addCheckpoint(edited);
    // An edited key id names a key that there is not.
    const kinds = ["checkpoint edited", "checkpoint unknown key"] as const;
    const expected = [{ kinds, from: one.number, to: one.number }];
    return { since: one.at, name: `edit a checkpoint: ${name}`, expected };
  }

  async #deleteCheckpoint(): Promise<Tampering> {
    const { number, at } = pick(this.#checkpoints);
    await this.#removeCheckpoint(number);
    return {
      since: at,
      name: "delete a checkpoint",
      expected: [{ kinds: ["checkpoint missing"], from: number, to: number }],
    };
  }

  async #swapCheckpoints(): Promise<Tampering> {
    const one = pick(this.#checkpoints);
    const other = pick(this.#checkpoints.filter(({ number }) => number !== one.number));
    for (const { number } of [one, other]) await this.#removeCheckpoint(number);
    await this.#store.audit!.addCheckpoint({ ...one, number: other.number });
    await this.#store.audit!.addCheckpoint({ ...other, number: one.number });
    const kinds = ["checkpoint edited"] as const;
    return {
      since: Math.min(one.at, other.at),
      name: "swap checkpoints",
      expected: [one, other].map(({ number }) => ({ kinds, from: number, to: number })),
    };
  }

  /** The key that content is sealed under: deleted, emptied, overwritten, or made to look as if it was erased. */
  async #removeKey(): Promise<Tampering> {
    const one = pick(this.#subjects);
    const { auditSubjects } = this.#store.database.dialect.names;
    await this.#run(`DELETE FROM ${auditSubjects} WHERE subject = ${this.#literal(one.subject)}`);
    const edits: Record<string, AuditSubject | null> = {
      deleted: null,
      emptied: { ...one, wrapped: new Uint8Array(0) },
      "as if erased": { ...one, userRef: null, wrapped: new Uint8Array(0), erasedAt: 1_790_000_000_000 },
      "erased, without proof": { ...one, userRef: null, erasedAt: 1_790_000_000_000 },
      // That of a chain does not open for another application either.
      ...(one.userRef !== null && { overwritten: { ...one, wrapped: flippedBehind(one.wrapped, 5) } }),
    };
    const [name, edited] = pick(Object.entries(edits));
    if (edited !== null) await this.#store.audit!.addSubjects([edited]);
    const used = this.#events.filter(
      ({ subject, position }) => key(subject ?? position.slice(0, 16)) === key(one.subject),
    );
    return { name: `key ${name}`, expected: [this.#at(used[0]!, ["content lost"])] };
  }

  #literal(some: Uint8Array): string {
    const hex = Buffer.from(some).toString("hex");
    return this.#store.database.dialect.name === "postgres" ? `'\\x${hex}'::bytea` : `x'${hex}'`;
  }

  /** As large as the column of a code can hold. */
  get #beyond(): number {
    return this.#store.database.dialect.name === "sqlite" ? BEYOND : 2 ** 31 - 1;
  }

  #two(): [AuditRow, AuditRow] {
    const one = pick(this.#events);
    return [one, pick(this.#events.filter(({ position }) => key(position) !== key(one.position)))];
  }

  #chains(): AuditRow[][] {
    return [...Map.groupBy(this.#events, ({ position }) => key(chainOf(position))).values()];
  }

  #coveredOf(chain: readonly AuditRow[]): number {
    return this.#covered.get(key(chainOf(chain[0]!.position))) ?? 0;
  }

  #isCovered(row: AuditRow): boolean {
    return numberOf(row.position) <= (this.#covered.get(key(chainOf(row.position))) ?? 0);
  }

  #at({ position }: AuditRow, kinds: Expected["kinds"]): Expected {
    const number = numberOf(position);
    return { kinds, chain: nameOf(chainOf(position)), from: number, to: number };
  }

  async #put(row: AuditRow): Promise<void> {
    await this.#remove(row);
    await this.#add(row);
  }

  async #add(row: AuditRow): Promise<void> {
    await this.#store.database.run(this.#texts.append([row]));
  }

  async #remove({ position }: Pick<AuditRow, "position">): Promise<void> {
    await this.#store.database.run(this.#texts.deleteEvents(position, position));
  }

  async #removeCheckpoint(number: number): Promise<void> {
    await this.#store.database.run(this.#texts.deleteCheckpoints(number, number + 1));
  }

  async #run(text: string): Promise<void> {
    const statement: Statement = { text, values: [], writes: true };
    await this.#store.database.run(statement);
  }
}

function flippedBehind(some: Uint8Array, from: number): Uint8Array {
  const copy = new Uint8Array(some);
  copy.set(flipped(copy.slice(from)), from);
  return copy;
}

function flipped(some: Uint8Array): Uint8Array {
  const copy = new Uint8Array(some);
  const at = randomInt(copy.length);
  copy[at] = copy[at]! ^ (1 << randomInt(8));
  return copy;
}

/** What is wrong with a report; null if it names exactly what was done. */
export function misnamed({ expected, name, since }: Tampering, report: VerifyReport): string | null {
  const proven = report.provenUntil?.getTime() ?? -Infinity;
  if (since !== undefined && proven >= since)
    return `${name}: said to be proven until ${proven}, although what was written at ${since} was changed`;
  const left = [...report.problems];
  for (const one of expected) {
    const found = left.findIndex(
      ({ kind, chain, from, to }) =>
        one.kinds.includes(kind) && chain === one.chain && from === one.from && to === one.to,
    );
    if (found === -1) return said(name, expected, report);
    left.splice(found, 1);
  }
  return left.length === 0 && !report.ok ? null : said(name, expected, report);
}

function said(name: string, expected: readonly Expected[], report: VerifyReport): string {
  const shown = report.problems.map(({ kind, from, to, chain }) => ({ kind, from, to, chain }));
  return `${name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(shown)}`;
}

/**
 * Longer than 300 lines: one pass over the trail, whose steps all read and change what was found so far.
 */
import { keyOf } from "../shared/bytes.ts";
import {
  chainOf,
  numberOf,
  positionOf,
  type AuditCheckpoint,
  type AuditRow,
  type AuditStore,
} from "../store/audit.ts";
import { hashOf, isHashable, macOf, NO_HASH } from "./chain.ts";
import {
  checkpointHash,
  decodeCheckpoint,
  isSigned,
  kindCode,
  NO_CHECKPOINT,
  type CheckpointContent,
  type Head,
  type PublicKeys,
} from "./checkpoint.ts";
import type { ContentKeys } from "./content-keys.ts";
import { nameOfDamage, type Suspect } from "./damage.ts";
import { keyIdOf } from "./envelope.ts";
import type { KeyRing } from "../sealing/keyring.ts";
import type { AuditProblem, VerifyReport } from "./report.ts";
import { checkpointPages, eventPages } from "./pages.ts";

export interface VerifySource {
  readonly store: Pick<AuditStore, "checkpoints" | "events" | "heads" | "find">;
  readonly publicKeys: PublicKeys;
  /** Verifies the code of each event as well, and what no checkpoint covers. */
  readonly keys?: KeyRing | undefined;
  /** Also verifies that the keys of the content are there. */
  readonly contentKeys?: ContentKeys | undefined;
  /** Hashes of checkpoints in hex by their number, as an anchor has kept them. */
  readonly anchors?: ReadonlyMap<number, string> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((events: number) => void) | undefined;
}

const PAGE = 1_000;
const CHECKPOINTS = 200;
const MOST_PROBLEMS = 1_000;
const MOST_SUSPECTS = 2_000;

/** A chain as far as it was verified. */
interface State {
  readonly chain: Uint8Array;
  number: number;
  /** As stored in the last event. */
  hash: Uint8Array | null;
  /** What the last event's columns give, where that is something else. */
  computed: Uint8Array | null;
  /** Of the last event. */
  at: number;
  /** The last event that a checkpoint covers. */
  covered: number;
}

/**
 * Verifies a trail in one pass over checkpoints and events, in bounded memory: what grows is one entry for each chain.
 * It may run while events are written.
 */
export class Verifier {
  readonly #source: VerifySource;
  readonly #states = new Map<string, State>();
  readonly #problems: AuditProblem[] = [];
  readonly #suspects: Suspect[] = [];
  /** Chains that were pruned, with the number of their last event. */
  readonly #pruned = new Map<string, number>();
  /** Heads that have no event, until it is known whether the chain was pruned. */
  readonly #lacking = new Map<string, { head: Head; found: number; at: number | null }>();
  #expected = 1;
  #previous: { readonly good: CheckpointContent | null; readonly hash: Uint8Array | null } = {
    good: null,
    hash: NO_CHECKPOINT,
  };
  readonly #gaps: { readonly from: number; readonly to: number; readonly at: number | null }[] = [];
  #floor = 0;
  #anchored = 0;
  #truncated = false;
  #events = 0;
  #checkpoints = 0;
  #uncovered = 0;
  #firstDamage = Infinity;
  #goodCheckpoints: { readonly number: number; readonly at: number }[] = [];

  constructor(source: VerifySource) {
    this.#source = source;
  }

  async run(): Promise<VerifyReport> {
    await this.#verifyCheckpoints();
    const last = this.#expected - 1;
    await this.#verifyTails();
    await this.#prunedMeanwhile();
    this.#nameGaps(last);
    await this.#nameSuspects();
    this.#nameLacking();
    this.#nameLost();
    const problems = this.#problems.toSorted((a, b) => (a.at?.getTime() ?? 0) - (b.at?.getTime() ?? 0));
    return {
      ok: problems.length === 0,
      problems,
      truncated: this.#truncated,
      events: this.#events,
      chains: this.#states.size,
      checkpoints: this.#checkpoints,
      uncovered: this.#uncovered,
      provenUntil: this.#provenUntil(() => true),
      anchoredUntil:
        this.#source.anchors === undefined
          ? null
          : this.#provenUntil(({ number }) => number <= this.#anchored),
    };
  }

  async #verifyCheckpoints(): Promise<void> {
    const { store } = this.#source;
    for await (const { rows } of checkpointPages(store, this.#expected - 1, CHECKPOINTS)) {
      const heads = new Map<string, Head[]>();
      for (const checkpoint of rows) {
        this.#source.signal?.throwIfAborted();
        const content = this.#checkpoint(checkpoint);
        if (content !== null) this.#collect(content, heads);
      }
      for (const list of heads.values()) await this.#verifyThrough(list);
    }
  }

  /** Its content, if it is good. */
  #checkpoint(checkpoint: AuditCheckpoint): CheckpointContent | null {
    const { anchors, publicKeys } = this.#source;
    const { number } = checkpoint;
    this.#checkpoints++;
    const { good: before, hash: previousHash } = this.#previous;
    if (number > this.#expected)
      this.#gaps.push({ from: this.#expected, to: number - 1, at: before?.at ?? null });
    const isNext = number === this.#expected;
    this.#expected = number + 1;
    const content = decodeCheckpoint(checkpoint.body);
    const hash = checkpointHash(checkpoint.body);
    const kind = this.#problemOf(checkpoint, content, publicKeys, isNext ? previousHash : null, hash);
    if (content === null || kind !== null) {
      this.#problem(kind ?? "checkpoint edited", number, before?.at ?? null);
      // What follows an edited one does not name its hash, and is none the worse for it.
      this.#previous = { good: before, hash: null };
      return null;
    }
    if (anchors?.has(number)) this.#anchored = Math.max(this.#anchored, number);
    this.#previous = { good: content, hash };
    this.#goodCheckpoints.push({ number, at: content.at });
    if (this.#goodCheckpoints.length > 10_000) this.#thin();
    this.#floor = Math.max(this.#floor, content.floor);
    return content;
  }

  #problemOf(
    checkpoint: AuditCheckpoint,
    content: CheckpointContent | null,
    publicKeys: PublicKeys,
    previousHash: Uint8Array | null,
    hash: Uint8Array,
  ): "checkpoint edited" | "checkpoint unknown key" | "anchor mismatch" | null {
    const { number, at, kind } = checkpoint;
    if (content === null || content.number !== number || content.at !== at || kindCode(content.kind) !== kind)
      return "checkpoint edited";
    const signed = isSigned(checkpoint, content.keyId, publicKeys);
    if (signed === null) return "checkpoint unknown key";
    if (!signed) return "checkpoint edited";
    const anchor = this.#source.anchors?.get(number);
    if (anchor !== undefined && anchor !== Buffer.from(hash).toString("hex")) return "anchor mismatch";
    if (previousHash !== null && keyOf(content.previous) !== keyOf(previousHash)) return "checkpoint edited";
    return null;
  }

  #collect(content: CheckpointContent, heads: Map<string, Head[]>): void {
    for (const head of content.heads) {
      const name = keyOf(head.chain);
      if (content.kind === "pruned") this.#pruned.set(name, head.number);
      else heads.set(name, [...(heads.get(name) ?? []), head]);
    }
  }

  /** Verifies a chain to the last of these heads, which are in order. */
  async #verifyThrough(heads: readonly Head[]): Promise<void> {
    const state = this.#stateOf(heads[0]!.chain);
    const waiting = [...heads];
    const compare = (): void => {
      while (waiting[0] && waiting[0].number <= state.number) {
        const head = waiting.shift()!;
        state.covered = Math.max(state.covered, head.number);
        if (head.number === state.number) this.#compare(state, head);
      }
    };
    compare();
    await this.#follow(state, heads.at(-1)!.number, compare);
    compare();
    const last = waiting.at(-1);
    if (last) this.#lacking.set(keyOf(last.chain), { head: last, found: state.number, at: state.at || null });
    state.covered = Math.max(state.covered, last?.number ?? 0);
  }

  #compare(state: State, head: Head): void {
    if (this.#isSuspect(state) || state.hash === null || keyOf(state.hash) === keyOf(head.hash)) return;
    const chain = Buffer.from(state.chain).toString("base64url");
    this.#add({
      kind: "rewritten",
      chain,
      from: 1,
      to: head.number,
      message: `The events of chain ${chain} up to ${head.number} are not those that were signed.`,
      at: new Date(state.at),
    });
  }

  #isSuspect(state: State): boolean {
    return this.#suspects.some(
      ({ row }) => keyOf(row.position) === keyOf(positionOf(state.chain, state.number)),
    );
  }

  /** What no checkpoint covers, and chains that none names. */
  async #verifyTails(): Promise<void> {
    for (const position of await this.#source.store.heads()) {
      const chain = chainOf(position);
      const end = this.#pruned.get(keyOf(chain));
      if (end !== undefined) {
        await this.#verifyLeftovers(chain, end);
        continue;
      }
      const state = this.#stateOf(chain);
      const before = this.#events;
      await this.#follow(state, Number.MAX_SAFE_INTEGER, () => {});
      this.#uncovered += this.#events - before;
    }
  }

  /** What is still there of a chain that was pruned is its beginning, which the next run deletes. Anything else was put there. */
  async #verifyLeftovers(chain: Uint8Array, end: number): Promise<void> {
    const last = positionOf(chain, 0);
    last.fill(255, chain.length);
    for await (const { rows } of eventPages(
      this.#source.store,
      positionBefore(positionOf(chain, 0)),
      last,
      PAGE,
    )) {
      for (const row of rows) {
        this.#source.signal?.throwIfAborted();
        if (this.#suspects.some((one) => keyOf(one.row.position) === keyOf(row.position))) continue;
        const number = numberOf(row.position);
        const isGenuine = this.#isGenuine(row);
        const isBeyond = number < 1 || number > end;
        if (isGenuine === false || (isGenuine === null && isBeyond))
          this.#suspect({
            row,
            before: null,
            isGenuine: false,
            isCovered: false,
            isAfterGap: true,
            since: null,
          });
      }
    }
  }

  /** Whether a process with the keys wrote it so. Null if its key is not known. */
  #isGenuine(row: AuditRow): boolean | null {
    if (!isHashable(row)) return false;
    const key = this.#source.keys?.find(keyIdOf(row.body) ?? -1);
    return key ? keyOf(macOf(key, row)) === keyOf(row.mac) : null;
  }

  #stateOf(chain: Uint8Array): State {
    const name = keyOf(chain);
    let state = this.#states.get(name);
    if (state === undefined) {
      state = { chain, number: 0, hash: NO_HASH, computed: null, at: 0, covered: 0 };
      this.#states.set(name, state);
    }
    return state;
  }

  async #follow(state: State, through: number, onEvent: () => void): Promise<void> {
    const { store, signal, onProgress } = this.#source;
    // A number of eight bytes 255 is none that a process writes.
    const last = positionOf(state.chain, 0);
    if (through === Number.MAX_SAFE_INTEGER) last.fill(255, state.chain.length);
    else last.set(positionOf(state.chain, through));
    let after = positionOf(state.chain, state.number);
    if (state.number === 0) after = positionBefore(after);
    if (state.number >= through) return;
    for await (const { rows } of eventPages(store, after, last, PAGE)) {
      for (const row of rows) {
        this.#event(state, row);
        onEvent();
      }
      await this.#source.contentKeys?.look();
      onProgress?.(this.#events);
      signal?.throwIfAborted();
      if (state.number >= through) return;
    }
  }

  #event(state: State, row: AuditRow): void {
    this.#events++;
    const number = numberOf(row.position);
    const expected = state.number + 1;
    const columns = isHashable(row);
    const isGenuine = this.#isGenuine(row);
    const since = state.number === 0 ? null : state.at;
    const isAfterGap = number !== expected;
    const suspect = { row, before: state.hash, isGenuine, isCovered: false, isAfterGap, since };
    const isOutside = number < 1 || number > Number.MAX_SAFE_INTEGER;
    // It was put there, and says nothing of what is between.
    if (isOutside || (isAfterGap && isGenuine === false)) return this.#suspect(suspect);
    if (number > expected) this.#missing(state, expected, number - 1);
    const before = isAfterGap ? [] : [state.hash, state.computed].filter((one) => one !== null);
    const fits = columns && before.some((one) => keyOf(hashOf(one, row)) === keyOf(row.hash));
    // The code of an event stands for itself. Without the keys an event stands and falls with the hash of the one before it,
    // and after a gap there is none.
    const isFine = isGenuine ?? (isAfterGap ? columns : fits);
    if (!isFine || (isAfterGap && isGenuine === null)) this.#suspect(suspect);
    else this.#source.contentKeys?.add(row);
    state.computed = columns && !fits && before[0] ? hashOf(before[0], row) : null;
    state.hash = columns ? row.hash : null;
    state.at = Math.max(state.at, isFine ? row.at : 0);
    state.number = number;
  }

  #suspect(suspect: Suspect): void {
    if (this.#suspects.length < MOST_SUSPECTS) this.#suspects.push(suspect);
    else this.#truncated = true;
  }

  #missing(state: State, from: number, to: number): void {
    const chain = Buffer.from(state.chain).toString("base64url");
    const what = from === to ? `Event ${from} is` : `Events ${from} to ${to} are`;
    const at = state.at === 0 ? null : new Date(state.at);
    this.#add({ kind: "missing", chain, from, to, message: `${what} missing in chain ${chain}.`, at });
  }

  /** Chains that were pruned while this ran. */
  async #prunedMeanwhile(): Promise<void> {
    const page = await this.#source.store.checkpoints(this.#expected - 1, CHECKPOINTS, kindCode("pruned"));
    for (const checkpoint of page) {
      const content = decodeCheckpoint(checkpoint.body);
      if (content === null || !isSigned(checkpoint, content.keyId, this.#source.publicKeys)) continue;
      this.#floor = Math.max(this.#floor, content.floor);
      for (const { chain, number } of content.heads) this.#pruned.set(keyOf(chain), number);
    }
  }

  #nameGaps(last: number): void {
    for (const { from, to, at } of this.#gaps) {
      if (to >= this.#floor) this.#checkpointsMissing(Math.max(from, this.#floor), to, at);
    }
    let end = last;
    for (const number of this.#source.anchors?.keys() ?? []) end = Math.max(end, number);
    if (end > last) this.#checkpointsMissing(last + 1, end, this.#previous.good?.at ?? null);
  }

  async #nameSuspects(): Promise<void> {
    const isCovered = ({ row }: Suspect): boolean =>
      !this.#pruned.has(keyOf(chainOf(row.position))) &&
      numberOf(row.position) >= 1 &&
      numberOf(row.position) <= (this.#states.get(keyOf(chainOf(row.position)))?.covered ?? 0);
    const suspects = this.#suspects.map((suspect) => ({ ...suspect, isCovered: isCovered(suspect) }));
    for (const problem of await nameOfDamage(suspects, this.#source)) this.#add(problem);
  }

  #nameLacking(): void {
    for (const [name, { head, found, at }] of this.#lacking) {
      if (this.#pruned.has(name)) continue;
      const state = this.#states.get(name)!;
      // What was written meanwhile, or lies behind a gap, was met with the tail.
      if (state.number >= head.number) continue;
      const chain = Buffer.from(head.chain).toString("base64url");
      if (found === 0 && state.number === 0) {
        this.#add({
          kind: "writer removed",
          chain,
          from: 1,
          to: head.number,
          message: `All events of chain ${chain} are gone: it had at least ${head.number}.`,
          at: null,
        });
      } else this.#missing({ ...state, at: state.at || (at ?? 0) }, state.number + 1, head.number);
    }
  }

  #nameLost(): void {
    for (const { position, at } of this.#source.contentKeys?.lost ?? []) {
      const [chain, number] = [chainOf(position), numberOf(position)];
      if (this.#pruned.has(keyOf(chain))) continue; // the key went with it meanwhile
      const name = Buffer.from(chain).toString("base64url");
      this.#list({
        kind: "content lost",
        chain: name,
        from: number,
        to: number,
        message: `The key of the content of event ${number} of chain ${name}, and of others of the same person, was removed or changed, and not by an erasure.`,
        at: new Date(at),
      });
    }
  }

  #checkpointsMissing(from: number, to: number, at: number | null): void {
    const what = from === to ? `Checkpoint ${from} is` : `Checkpoints ${from} to ${to} are`;
    const when = at === null ? null : new Date(at);
    this.#add({ kind: "checkpoint missing", from, to, message: `${what} missing.`, at: when });
  }

  #problem(
    kind: "checkpoint edited" | "checkpoint unknown key" | "anchor mismatch",
    number: number,
    at: number | null,
  ): void {
    const what = {
      "checkpoint edited": "was edited",
      "checkpoint unknown key": "is signed with a key that is not among those given",
      "anchor mismatch": "is not the one that was anchored",
    }[kind];
    const when = at === null ? null : new Date(at);
    this.#add({ kind, from: number, to: number, message: `Checkpoint ${number} ${what}.`, at: when });
  }

  #add(problem: AuditProblem): void {
    this.#firstDamage = Math.min(this.#firstDamage, problem.at?.getTime() ?? 0);
    this.#list(problem);
  }

  #list(problem: AuditProblem): void {
    if (this.#problems.length < MOST_PROBLEMS) this.#problems.push(problem);
    else this.#truncated = true;
  }

  #provenUntil(counts: (checkpoint: { number: number; at: number }) => boolean): Date | null {
    const good = this.#goodCheckpoints.findLast((one) => counts(one) && one.at <= this.#firstDamage);
    return good === undefined ? null : new Date(good.at);
  }

  /** Of many checkpoints every second one tells nearly as exactly until when the trail is good; the newest are kept. */
  #thin(): void {
    const older = this.#goodCheckpoints.slice(0, 5_000).filter((_, index) => index % 2 === 0);
    this.#goodCheckpoints = [...older, ...this.#goodCheckpoints.slice(5_000)];
  }
}

/** The position before one of number 0: events with that number were forged, and are read as well. */
function positionBefore(position: Uint8Array): Uint8Array {
  const earlier = new Uint8Array(position);
  for (let at = earlier.length - 1; at >= 0; at--) {
    if (earlier[at]! > 0) {
      earlier[at]!--;
      break;
    }
    earlier[at] = 255;
  }
  return earlier;
}

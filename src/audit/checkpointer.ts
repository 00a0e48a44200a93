import { keyOf } from "../shared/bytes.ts";
import { AuditError } from "../errors.ts";
import {
  chainOf,
  numberOf,
  positionOf,
  type AuditCheckpoint,
  type AuditStore,
  type DayCount,
} from "../store/audit.ts";
import { hashOf, isHashable, macOf, NO_HASH } from "./chain.ts";
import {
  anchoredOf,
  checkpointHash,
  decodeCheckpoint,
  isSigned,
  kindCode,
  NO_CHECKPOINT,
  publicKeysOfRing,
  signCheckpoint,
  type Anchored,
  type CheckpointContent,
  type Head,
  type PublicKeys,
} from "./checkpoint.ts";
import { keyIdOf } from "./envelope.ts";
import type { KeyRing } from "../sealing/keyring.ts";
import { checkpointPages, eventPages } from "./pages.ts";

const PAGE = 500;
/** Milliseconds between checkpoints that list every chain. */
const FULL_EVERY = 86_400_000;
/** Stands for the number of a chain that was pruned: nothing of it is signed again. */
const PRUNED = Number.MAX_SAFE_INTEGER;

export interface CheckpointerOptions {
  readonly store: AuditStore;
  readonly keys: KeyRing;
  readonly clock: () => number;
  readonly anchor?: ((checkpoint: Anchored) => void | Promise<void>) | undefined;
  /** Called with a chain that does not verify, which is no longer signed. */
  readonly onDamage?: (chain: string, number: number) => void;
}

/**
 * Signs the heads of all chains. It reads the events since the last checkpoint and verifies them first, so that an edited
 * event is never signed. One process at a time does this, under a lease; the number of a checkpoint is a primary key, so two
 * that overlap cannot sign different ones.
 */
export class Checkpointer {
  readonly #options: CheckpointerOptions;
  /** Chains as of the last checkpoint that this process has seen. */
  readonly #heads = new Map<string, Head>();
  readonly #damaged = new Set<string>();
  #last: CheckpointContent | null = null;
  #lastHash: Uint8Array = NO_CHECKPOINT;
  #fullAt = -Infinity;

  readonly #publicKeys: PublicKeys;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#publicKeys = publicKeysOfRing(options.keys);
  }

  /** Signs what was written since the last checkpoint. Null when there is nothing, or another process did it meanwhile. */
  async run(): Promise<Anchored | null> {
    const { store, clock } = this.#options;
    await this.#catchUp();
    const heads: Head[] = [];
    let events = this.#last?.events ?? 0;
    for (const position of await store.heads()) {
      const known = this.#heads.get(keyOf(chainOf(position)));
      if (numberOf(position) <= (known?.number ?? 0)) continue;
      const head = await this.#follow(chainOf(position), known, numberOf(position));
      if (head === null) continue;
      events += head.number - (known?.number ?? 0);
      heads.push(head);
    }
    if (heads.length === 0) return null;
    const isFull = clock() - this.#fullAt >= FULL_EVERY;
    const isOld = new Set(heads.map(({ chain }) => keyOf(chain)));
    const unchanged = isFull ? this.heads.filter(({ chain }) => !isOld.has(keyOf(chain))) : [];
    return await this.#add({
      kind: isFull ? "full" : "heads",
      heads: [...unchanged, ...heads],
      events,
      floor: this.#last?.floor ?? 0,
    });
  }

  /** Chains as of the last checkpoint, without those that were pruned. */
  get heads(): readonly Head[] {
    return [...this.#heads.values()].filter(({ number }) => number < PRUNED);
  }

  /**
   * Signs a record of chains that are about to be deleted, and of checkpoints that nobody needs any more. Null if another
   * process signed something meanwhile.
   */
  async prune(heads: readonly Head[], floor: number, counts: readonly DayCount[]): Promise<Anchored | null> {
    await this.#catchUp();
    // Recorded twice, their events would count twice.
    if (heads.some(({ chain }) => this.#heads.get(keyOf(chain))?.number === PRUNED)) return null;
    const events = this.#last?.events ?? 0;
    return await this.#add({ kind: "pruned", heads, events, floor }, counts);
  }

  async #add(
    content: Pick<CheckpointContent, "kind" | "heads" | "events" | "floor">,
    counts?: readonly DayCount[],
  ): Promise<Anchored | null> {
    const { store, keys, clock, anchor } = this.#options;
    const checkpoint = signCheckpoint(keys, {
      ...content,
      number: (this.#last?.number ?? 0) + 1,
      at: Math.max(clock(), this.#last?.at ?? 0),
      previous: this.#lastHash,
    });
    if (!(await store.addCheckpoint(checkpoint, counts))) {
      // Another process was faster: what it signed is read at the next run.
      this.#forget();
      return null;
    }
    this.#take(checkpoint);
    const anchored = anchoredOf(checkpoint);
    await anchor?.(anchored);
    return anchored;
  }

  /** Whether the events of a chain are still those that were signed. */
  async isWhole(head: Head): Promise<boolean> {
    const found = await this.#follow(head.chain, undefined, head.number);
    return found !== null && found.number === head.number && keyOf(found.hash) === keyOf(head.hash);
  }

  /** Whether a key of the ring signed it. */
  hasSigned(checkpoint: AuditCheckpoint): boolean {
    const content = decodeCheckpoint(checkpoint.body);
    return content !== null && isSigned(checkpoint, content.keyId, this.#publicKeys) === true;
  }

  #forget(): void {
    this.#heads.clear();
    this.#last = null;
    this.#lastHash = NO_CHECKPOINT;
    this.#fullAt = -Infinity;
  }

  /** Reads the checkpoints of others, at first from the last one that lists every chain. */
  async #catchUp(): Promise<void> {
    const { store } = this.#options;
    if (this.#last === null) {
      const full = await store.lastCheckpoint(kindCode("full"));
      if (full !== null) this.#take(full);
    }
    for await (const { rows } of checkpointPages(store, this.#last?.number ?? 0, PAGE))
      for (const checkpoint of rows) this.#take(checkpoint);
  }

  #take(checkpoint: AuditCheckpoint): void {
    const content = decodeCheckpoint(checkpoint.body);
    // To go on over one that was edited would hide where the trail broke.
    if (content === null || isSigned(checkpoint, content.keyId, this.#publicKeys) === false) {
      this.#forget();
      throw new AuditError(
        `Checkpoint ${checkpoint.number} of the audit trail was edited, so no more checkpoints are signed. Run "stored-session audit verify", and see docs/incident-guide.md.`,
      );
    }
    if (content.kind === "full") {
      this.#heads.clear();
      this.#fullAt = content.at;
    }
    for (const head of content.heads) {
      const number = content.kind === "pruned" ? PRUNED : head.number;
      this.#heads.set(keyOf(head.chain), { ...head, number });
    }
    this.#last = content;
    this.#lastHash = checkpointHash(checkpoint.body);
  }

  /** Verifies a chain from the last head on. Null when nothing of it can be signed. */
  async #follow(chain: Uint8Array, known: Head | undefined, through: number): Promise<Head | null> {
    const { store, keys } = this.#options;
    const name = keyOf(chain);
    if (this.#damaged.has(name)) return null;
    let { number, hash } = known ?? { number: 0, hash: NO_HASH };
    if (number >= through) return null;
    const from = number;
    const pages = eventPages(store, positionOf(chain, number), positionOf(chain, through), PAGE);
    for await (const { rows } of pages) {
      for (const row of rows) {
        const key = keys.find(keyIdOf(row.body) ?? -1);
        const isWhole = isHashable(row) && numberOf(row.position) === number + 1;
        const next = isWhole ? hashOf(hash, row) : null;
        // Under a key that this process does not have, the hash alone has to do.
        const isTrue =
          next !== null &&
          keyOf(next) === keyOf(row.hash) &&
          (!key || keyOf(macOf(key, row)) === keyOf(row.mac));
        if (!isTrue) {
          this.#damaged.add(name);
          this.#options.onDamage?.(Buffer.from(chain).toString("base64url"), numberOf(row.position));
          return number > from ? { chain, number, hash } : null;
        }
        number++;
        hash = next;
      }
    }
    return number > from ? { chain, number, hash } : null;
  }
}

import { Codec } from "../codec/codec.ts";
import { RefusedError } from "../errors.ts";
import { hash } from "../sealing/hash.ts";
import { Hmac } from "../sealing/hmac.ts";
import { label } from "../sealing/label.ts";
import { randomBytes } from "../sealing/random.ts";
import { keyOf } from "../shared/bytes.ts";
import { SUBJECT_BYTES, type AuditStore, type AuditSubject } from "../store/audit.ts";
import { bounded, type AuditContent } from "./events.ts";
import { keyIdOf, openBytes, sealBytes } from "./envelope.ts";
import type { Key, KeyRing } from "../sealing/keyring.ts";

/** A key that content is sealed under, ready for use. */
export interface Subject {
  readonly id: Uint8Array;
  readonly secret: Hmac;
  /** The user's id, if it was known when the key was made. */
  readonly user: string | undefined;
  /** When it was read, by the clock. */
  readonly readAt: number;
}

/** Whose event it is. */
export interface Who {
  readonly user?: string | undefined;
  /** The reference in the session's row, for a session whose user is not known otherwise. */
  readonly userRef?: Uint8Array | null | undefined;
}

export interface SubjectsOptions {
  readonly store: AuditStore;
  readonly keys: KeyRing;
  readonly app: string;
  readonly clock: () => number;
  /** Every reference that the rows of a user may have. */
  readonly userRefs: (user: string) => Uint8Array[];
}

const SUBJECT = label("audit-subject");
const EVENT = label("audit-event");
const ERASED = label("audit-erased");
const NO_REF = new Uint8Array(32);

/** Another process may have destroyed a key: it is used no longer than this after it was read, in milliseconds. */
const KEPT = 60_000;
const MOST_KEPT = 10_000;

/** Above the longest content: texts of 3 bytes a character, with 32 factors and 32 details. */
const codec = new Codec({ maxBytes: 524_288 });
const secrets = new WeakMap<Key, Hmac>();

/**
 * A key for each user, sealed under the ring. Who destroys it makes everything unreadable that was sealed under it, and no
 * chain notices: the chains are over the sealed bytes. Events without a user are sealed under a key of their chain.
 */
export class Subjects {
  readonly #options: SubjectsOptions;
  readonly #app: Uint8Array;
  readonly #kept = new Map<string, Subject>();

  constructor(options: SubjectsOptions) {
    this.#options = options;
    this.#app = hash("sha256", options.app, "buffer").subarray(0, 16);
  }

  /** The keys of these users, made where there are none, in the same order. Null for nobody. */
  async ensure(whos: readonly Who[]): Promise<(Subject | null)[]> {
    const refs = whos.map((who) => this.#refsOf(who));
    const users = new Map<string, string>();
    for (const [index, { user }] of whos.entries()) {
      if (user !== undefined) for (const ref of refs[index]!) users.set(keyOf(ref), user);
    }
    const known = new Map<string, Subject>();
    const missing: Uint8Array[] = [];
    for (const ref of new Map(refs.flat().map((one) => [keyOf(one), one])).values()) {
      const kept = this.#keptFor(ref, users.get(keyOf(ref)));
      if (kept) known.set(keyOf(ref), kept);
      else missing.push(ref);
    }
    const isKnown = (list: readonly Uint8Array[]): boolean => list.some((ref) => known.has(keyOf(ref)));
    if (refs.some((list) => list.length > 0 && !isKnown(list))) {
      for (const row of await this.#options.store.subjectsOf(missing)) {
        const subject = this.#keep(await this.#named(row, users.get(keyOf(row.userRef!))));
        if (subject !== null) known.set(keyOf(row.userRef!), subject);
      }
    }
    const added: AuditSubject[] = [];
    const subjects = refs.map((list) => {
      if (list.length === 0) return null;
      const found = list.flatMap((ref) => known.get(keyOf(ref)) ?? [])[0];
      if (found) return found;
      const user = list.flatMap((ref) => users.get(keyOf(ref)) ?? [])[0];
      const row = this.#wrap(randomBytes(SUBJECT_BYTES), randomBytes(32), user, list[0]!);
      const subject = this.#open(row)!;
      added.push(row);
      for (const ref of list) known.set(keyOf(ref), subject);
      return subject;
    });
    if (added.length > 0) {
      await this.#options.store.addSubjects(added);
      // Not before: events under a key that the store does not have can never be read.
      for (const row of added) this.#keep(row);
    }
    return subjects;
  }

  /** A new key for the events of a chain that concern no user. */
  async begin(chain: Uint8Array): Promise<Subject> {
    const row = this.#wrap(chain.slice(0, SUBJECT_BYTES), randomBytes(32), undefined, null);
    await this.#options.store.addSubjects([row]);
    return this.#open(row)!;
  }

  /** The keys of a user that are not destroyed. */
  async of(user: string): Promise<readonly AuditSubject[]> {
    return await this.#options.store.subjectsOf(this.#options.userRefs(user));
  }

  /** Keys by id; null for one that is destroyed or does not open. */
  async read(ids: readonly Uint8Array[]): Promise<Map<string, Subject | "erased" | "refused">> {
    const found = new Map<string, Subject | "erased" | "refused">();
    for (const row of await this.#options.store.subjects(ids)) {
      found.set(keyOf(row.subject), row.erasedAt > 0 ? "erased" : (this.#open(row) ?? "refused"));
    }
    return found;
  }

  /** Destroys keys of a user in the store, and forgets them. Returns how many were destroyed. */
  async erase(user: string, rows: readonly AuditSubject[]): Promise<number> {
    const erasedAt = this.#options.clock();
    const erased = await this.#options.store.eraseSubjects(
      rows.map(({ subject }) => ({
        subject,
        userRef: null,
        wrapped: this.#remains(subject, erasedAt),
        erasedAt,
      })),
    );
    for (const ref of this.#options.userRefs(user)) this.#kept.delete(keyOf(ref));
    return erased;
  }

  /** What stays in place of a key: nobody without the keys can make it, so it proves that the key was erased and not removed. */
  #remains(id: Uint8Array, erasedAt: number): Uint8Array {
    const { newest } = this.#options.keys;
    return sealBytes(wrapping(newest), newest.id, erasure(id, erasedAt), codec.encodeMap({}));
  }

  /** Whether a key opens, was erased by a process with the keys, or neither. One of another application does not open. */
  stateOf(row: AuditSubject): "open" | "erased" | "closed" | "removed" {
    const keyId = keyIdOf(row.wrapped);
    if (keyId === null) return "removed";
    if (row.erasedAt === 0) return this.#content(row) === null ? "closed" : "open";
    return this.#wasErased(row) ? "erased" : "removed";
  }

  #wasErased({ subject, wrapped, erasedAt }: AuditSubject): boolean {
    const key = this.#options.keys.find(keyIdOf(wrapped) ?? -1);
    if (key === undefined) return false;
    try {
      return openBytes(wrapping(key), erasure(subject, erasedAt), wrapped).length > 0;
    } catch (error) {
      if (error instanceof RefusedError) return false;
      throw error;
    }
  }

  /** Seals a key under the newest one of the ring. False if it is already, cannot be opened, or was changed meanwhile. */
  async rewrap(row: AuditSubject): Promise<boolean> {
    const { keys, store } = this.#options;
    if (keyIdOf(row.wrapped) === keys.newest.id) return false;
    if (row.erasedAt > 0)
      return (
        this.#wasErased(row) && (await store.rewrap(row, null, this.#remains(row.subject, row.erasedAt)))
      );
    const content = this.#content(row);
    if (content === null) return false;
    const user = typeof content["u"] === "string" ? content["u"] : undefined;
    const userRef = user === undefined ? row.userRef : this.#options.userRefs(user)[0]!;
    const next = this.#wrap(row.subject, content["k"] as Uint8Array, user, userRef);
    return await store.rewrap(row, userRef, next.wrapped);
  }

  seal({ id, secret }: Subject, keyId: number, position: Uint8Array, content: AuditContent): Uint8Array {
    const context = Buffer.concat([EVENT, position, id]);
    return sealBytes(secret, keyId, context, codec.encodeMap(bounded(content)));
  }

  /** @throws {RefusedError} */
  open({ id, secret }: Subject, position: Uint8Array, body: Uint8Array): AuditContent {
    return codec.decodeMap(openBytes(secret, Buffer.concat([EVENT, position, id]), body));
  }

  #refsOf({ user, userRef }: Who): readonly Uint8Array[] {
    const refs = user === undefined ? [] : this.#options.userRefs(user);
    return userRef && !refs.some((ref) => keyOf(ref) === keyOf(userRef)) ? [...refs, userRef] : refs;
  }

  /** The key that was read lately. Not one without the user's id, if that is known now. */
  #keptFor(ref: Uint8Array, user: string | undefined): Subject | undefined {
    const kept = this.#kept.get(keyOf(ref));
    if (kept && kept.readAt > this.#options.clock() - KEPT && (user === undefined || kept.user !== undefined))
      return kept;
    this.#kept.delete(keyOf(ref));
    return undefined;
  }

  /** A key that was made for the end of a session may lack the user's id: it is added once it is known. */
  async #named(row: AuditSubject, user: string | undefined): Promise<AuditSubject> {
    const content = user === undefined ? null : this.#content(row);
    if (content === null || content["u"] !== undefined) return row;
    const next = this.#wrap(row.subject, content["k"] as Uint8Array, user, row.userRef);
    return (await this.#options.store.rewrap(row, row.userRef, next.wrapped)) ? next : row;
  }

  #keep(row: AuditSubject): Subject | null {
    const subject = this.#open(row);
    if (subject === null || row.userRef === null) return subject;
    if (this.#kept.size >= MOST_KEPT) this.#kept.clear();
    this.#kept.set(keyOf(row.userRef), subject);
    return subject;
  }

  #wrap(
    id: Uint8Array,
    secret: Uint8Array,
    user: string | undefined,
    userRef: Uint8Array | null,
  ): AuditSubject {
    const { newest } = this.#options.keys;
    const content = codec.encodeMap({ k: secret, ...(user !== undefined && { u: user }) });
    const wrapped = sealBytes(wrapping(newest), newest.id, this.#context(id, userRef), content);
    return { subject: id, userRef, wrapped, erasedAt: 0 };
  }

  #open(row: AuditSubject): Subject | null {
    const content = this.#content(row);
    if (content === null) return null;
    const user = typeof content["u"] === "string" ? content["u"] : undefined;
    const secret = new Hmac("sha512", content["k"] as Uint8Array);
    // A copy: what a driver returns may be part of a large buffer, which it would keep in memory.
    return { id: new Uint8Array(row.subject), secret, user, readAt: this.#options.clock() };
  }

  #content({ subject, userRef, wrapped }: AuditSubject): Record<string, unknown> | null {
    const key = this.#options.keys.find(keyIdOf(wrapped) ?? -1);
    if (key === undefined) return null;
    try {
      const content = codec.decodeMap(openBytes(wrapping(key), this.#context(subject, userRef), wrapped));
      return content["k"] instanceof Uint8Array ? content : null;
    } catch (error) {
      if (error instanceof RefusedError) return null;
      throw error;
    }
  }

  #context(id: Uint8Array, userRef: Uint8Array | null): Uint8Array {
    return Buffer.concat([SUBJECT, this.#app, id, userRef ?? NO_REF]);
  }
}

/** The context of what stays in place of a key. Any application with the keys can verify it. */
function erasure(id: Uint8Array, erasedAt: number): Uint8Array {
  const at = Buffer.alloc(8);
  at.writeBigInt64BE(BigInt(erasedAt));
  return Buffer.concat([ERASED, id, at]);
}

function wrapping(key: Key): Hmac {
  let secret = secrets.get(key);
  if (secret === undefined) {
    secret = new Hmac("sha512", Uint8Array.from(key.audit.of(SUBJECT)));
    secrets.set(key, secret);
  }
  return secret;
}

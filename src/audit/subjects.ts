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
const NO_REF = new Uint8Array(32);

/** Another process may have destroyed a key: it is used no longer than this after it was read, in milliseconds. */
const KEPT = 60_000;
const MOST_KEPT = 10_000;

const codec = new Codec({ maxBytes: 65_536 });
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
    const missing = refs.flatMap((list) => (this.#keptOf(list) ? [] : list));
    const found = missing.length === 0 ? [] : await this.#options.store.subjectsOf(unique(missing));
    for (const one of found) this.#keep(one);
    const added: AuditSubject[] = [];
    const subjects = refs.map((list, index) => {
      if (list.length === 0) return null;
      const kept = this.#keptOf(list);
      if (kept) return kept;
      const id = randomBytes(SUBJECT_BYTES);
      const row = this.#wrap(id, randomBytes(32), whos[index]!.user, list[0]!);
      added.push(row);
      return this.#keep(row);
    });
    if (added.length > 0) await this.#options.store.addSubjects(added);
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

  /** Forgets a key, and destroys it in the store. Returns how many were destroyed. */
  async erase(user: string): Promise<number> {
    const rows = await this.of(user);
    for (const ref of this.#options.userRefs(user)) this.#kept.delete(keyOf(ref));
    return await this.#options.store.eraseSubjects(
      rows.map(({ subject }) => subject),
      this.#options.clock(),
    );
  }

  /** Seals a key under the newest one of the ring. False if it is already, cannot be opened, or was changed meanwhile. */
  async rewrap(row: AuditSubject): Promise<boolean> {
    const { keys, store } = this.#options;
    if (row.erasedAt > 0 || keyIdOf(row.wrapped) === keys.newest.id) return false;
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

  #keptOf(refs: readonly Uint8Array[]): Subject | undefined {
    const oldest = this.#options.clock() - KEPT;
    for (const ref of refs) {
      const kept = this.#kept.get(keyOf(ref));
      if (kept && kept.readAt > oldest) return kept;
    }
    return undefined;
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
    return { id: row.subject, secret, user, readAt: this.#options.clock() };
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

function wrapping(key: Key): Hmac {
  let secret = secrets.get(key);
  if (secret === undefined) {
    secret = new Hmac("sha512", Uint8Array.from(key.audit.of(SUBJECT)));
    secrets.set(key, secret);
  }
  return secret;
}

function unique(refs: readonly Uint8Array[]): Uint8Array[] {
  return [...new Map(refs.map((ref) => [keyOf(ref), ref])).values()];
}

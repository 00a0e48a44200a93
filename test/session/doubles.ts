import { StoreUnavailableError } from "../../src/errors.ts";
import { KeyRing } from "../../src/sealing/keyring.ts";
import type { AuditStore } from "../../src/store/audit.ts";
import type { SessionStore } from "../../src/store/contract.ts";

const operations = [
  "read",
  "insert",
  "update",
  "replace",
  "touch",
  "delete",
  "deleteByUser",
  "deleteExpired",
  "listByUser",
  "count",
  "scan",
  "scanInfo",
  "lease",
] as const;
type Operation = (typeof operations)[number] | "login";

/** What the audit trail asks of its store before a change that it records. */
const preparations = ["findExpired", "ends", "subjects", "subjectsOf", "addSubjects"] as const;
type Preparation = (typeof preparations)[number];

type Wrap<Name> = (name: Name, call: () => Promise<unknown>) => Promise<unknown>;

/** The same store, with something around every call. It is real underneath. */
export function around(
  store: SessionStore,
  wrap: Wrap<Operation>,
  wrapPreparation?: Wrap<Preparation>,
): SessionStore {
  const wrapped: Record<string, unknown> = {
    lanes: store.lanes,
    migrate: () => store.migrate(),
    close: () => store.close(),
  };
  for (const operation of operations) {
    const method = store[operation].bind(store) as (...args: unknown[]) => Promise<unknown>;
    wrapped[operation] = (...args: unknown[]) => wrap(operation, () => method(...args));
  }
  if (store.links) wrapped["links"] = store.links;
  if (store.login) {
    const login = store.login.bind(store);
    wrapped["login"] = (...args: Parameters<typeof login>) => wrap("login", () => login(...args));
  }
  if (store.audit) wrapped["audit"] = auditAround(store.audit, wrap, wrapPreparation);
  return wrapped as unknown as SessionStore;
}

/** A change that the audit trail records is an operation of its kind, too. */
function auditAround(
  audit: AuditStore,
  wrap: Wrap<Operation>,
  wrapPreparation?: Wrap<Preparation>,
): AuditStore {
  return new Proxy(audit, {
    get(target, name) {
      if (name === "commit") {
        const commit: AuditStore["commit"] = (changes, append) => {
          const [first] = changes;
          const kind =
            first === undefined ? "touch" : first.kind === "deleteByUser" ? "deleteByUser" : first.kind;
          const call = () => target.commit(changes, append);
          return wrap(kind === "deleteExpired" ? "delete" : kind, call) as ReturnType<AuditStore["commit"]>;
        };
        return commit;
      }
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      const preparation = preparations.find((one) => one === name);
      if (preparation === undefined || wrapPreparation === undefined) return method;
      return (...args: unknown[]) => wrapPreparation(preparation, () => method(...args));
    },
  });
}

/** Counts the statements that reach the store. */
export function counted(store: SessionStore): {
  store: SessionStore;
  counts: Map<string, number>;
  total(): number;
} {
  const counts = new Map<string, number>();
  return {
    store: around(store, (operation, call) => {
      counts.set(operation, (counts.get(operation) ?? 0) + 1);
      return call();
    }),
    counts,
    total: () => [...counts.values()].reduce((sum, count) => sum + count, 0),
  };
}

/** A small seeded generator (mulberry32): numbers from 0 to 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Decides the order in which calls reach a store and in which their answers come back: each call waits at a gate
 * before and after, and the seed says which of those waiting goes next.
 */
export class Scheduler {
  readonly #waiting: (() => void)[] = [];
  readonly #random: () => number;
  readonly trace: string[] = [];
  #underWay = 0;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  over(store: SessionStore, name: string): SessionStore {
    const gated: Wrap<string> = async (operation, call) => {
      await this.#gate(`${name} ${operation}`);
      this.#underWay++;
      let answer: unknown;
      try {
        answer = await call();
      } finally {
        this.#underWay--;
      }
      await this.#gate(`${name} ${operation} answered`);
      return answer;
    };
    // With the trail's preparations, during which the other side would otherwise run on to its end.
    return around(store, gated, gated);
  }

  #gate(what: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        this.trace.push(what);
        resolve();
      });
    });
  }

  /** Runs the tasks to their end, one gate at a time. */
  async run(tasks: readonly (() => Promise<unknown>)[]): Promise<PromiseSettledResult<unknown>[]> {
    let finished = false;
    let patient = true;
    const all = Promise.allSettled(tasks.map((task) => task())).then((results) => {
      finished = true;
      return results;
    });
    while (!finished) {
      await new Promise((resolve) => setImmediate(resolve));
      // Every other choice waits for the calls under way, so that a slow database leaves as many orders as a fast one.
      if (this.#waiting.length === 0 || (patient && this.#underWay > 0)) continue;
      patient = this.#random() < 0.5;
      const [next] = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1);
      next!();
    }
    return all;
  }
}

/** The `Cookie` header that a browser sends back for a `Set-Cookie` value. */
export function cookieOf(setCookie: string | null): string {
  if (setCookie === null) throw new Error("no cookie was set");
  return setCookie.split(";")[0]!;
}

export const testKeys: string = "ssk1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/** {@link testKeys}, parsed once: for suites that make thousands of managers, because deriving keys takes longer than a request. */
export const testRing: KeyRing = KeyRing.from(testKeys);
export const olderKey: string = "ssk1_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

/**
 * What becomes of a call that is stopped: before it is `sent`, or when it is `answered`; the answer is `lost`, or it
 * `failed`, and of both the caller learns only that the outcome is unknown.
 */
export type Fate = "sent" | "answered" | "lost" | "failed";

/** Stops one call, of a store or of anything else, until it is opened. */
export class Gate {
  #name = "";
  #skip = 0;
  #fate: Fate = "sent";
  readonly #reached = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();

  over(store: SessionStore): SessionStore {
    return around(store, (operation, call) => this.pass(operation, call));
  }

  /** @param at a name, with the number of the call that is meant: "update 2"; the first unless given */
  stop(at: string, fate: Fate): void {
    const [name = "", nth = "1"] = at.split(" ");
    this.#name = name;
    this.#skip = Number(nth) - 1;
    this.#fate = fate;
  }

  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  open(): void {
    this.#opened.resolve();
  }

  async pass<Answer>(name: string, call: () => Promise<Answer>): Promise<Answer> {
    if (name !== this.#name || this.#skip-- > 0) return call();
    this.#name = "";
    const fate = this.#fate;
    const answer = fate === "answered" || fate === "lost" ? await call() : null;
    this.#reached.resolve();
    await this.#opened.promise;
    if (fate === "lost" || fate === "failed") {
      throw new StoreUnavailableError("The connection was lost.", { outcome: "unknown" });
    }
    return answer ?? call();
  }
}

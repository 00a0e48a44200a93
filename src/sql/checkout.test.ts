import { describe, expect, test } from "vitest";
import { ClosedError, StoreError, StoreTimeoutError } from "../errors.ts";
import { TimeLimit } from "../shared/time-limit.ts";
import { Checkout, type Lender } from "./checkout.ts";
import { READ, TRANSACTION, UNLIMITED } from "./operation-policy.ts";

const WRITE = { ifLost: "unknown", ifTimedOut: "unknown", limit: "usual" } as const;
const LONG = { ...READ, limit: "longer" } as const;

/** A pool whose answers the test gives, and what became of its connections. */
function setUp(milliseconds: number, options: { readonly connections?: number; admit?(): boolean } = {}) {
  const limit = new TimeLimit();
  limit.extendTo(milliseconds);
  const happened: string[] = [];
  const connecting: PromiseWithResolvers<string>[] = [];
  const lender: Lender<string> = {
    limit,
    connections: options.connections,
    connect() {
      connecting.push(Promise.withResolvers<string>());
      return connecting.at(-1)!.promise;
    },
    admit: options.admit ?? (() => true),
    noneAdmitted: () => new Error("none admitted"),
    greet: () => undefined,
    isBroken: (error) => (error as Error).message === "lost",
    release: (connection, broken) => void happened.push(`${broken ? "drop" : "return"} ${connection}`),
    returnUnused: (connection) => void happened.push(`unused ${connection}`),
    explain: (error, outcome) =>
      error instanceof StoreError ? error : new Error(`${(error as Error).message}, ${outcome}`),
  };
  return { limit, lender, happened, connecting };
}

const never = () => new Promise<never>(() => {});
const turns = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("checkout: one deadline", () => {
  test("no connection in time → nothing was sent, whatever was to be done; one that arrives later is returned unused", async () => {
    const { lender, happened, connecting } = setUp(20);
    const began = Checkout.of(lender, WRITE, never);
    await expect(began).rejects.toMatchObject({ code: StoreTimeoutError.code, outcome: "none" });
    connecting[0]!.resolve("a");
    await turns();
    expect(happened).toEqual(["unused a"]);
  });

  test("a statement that is late → the outcome of its policy, its connection is dropped, and what it answers later is ignored", async () => {
    const { lender, happened, connecting } = setUp(20);
    const work = Promise.withResolvers<string>();
    const began = Checkout.of(lender, WRITE, () => work.promise);
    connecting[0]!.resolve("a");
    await expect(began).rejects.toMatchObject({ code: StoreTimeoutError.code, outcome: "unknown" });
    work.reject(new Error("lost"));
    await turns();
    expect(happened).toEqual(["drop a"]);
  });

  test("a connection that cannot be returned, because the application released it → the caller has its outcome in every phase, and the process goes on", async () => {
    const { lender, connecting, limit } = setUp(20, { connections: 0 });
    const released = (): never => {
      throw new Error("Release called on client which has already been released to the pool.");
    };
    Object.assign(lender, { release: released, returnUnused: released });

    const answered = Checkout.of(lender, READ, () => Promise.resolve("answer"));
    connecting[0]!.resolve("a");
    expect(await answered).toBe("answer");

    const failed = Checkout.of(lender, WRITE, () => Promise.reject(new Error("lost")));
    connecting[1]!.resolve("b");
    await expect(failed).rejects.toThrow("lost, unknown");

    const tooLate = Checkout.of(lender, WRITE, never);
    await expect(tooLate).rejects.toMatchObject({ outcome: "none" });
    connecting[2]!.resolve("c");

    // Kept, because no connection may be dropped, and then dropped at the longer limit.
    const late = Checkout.of(lender, WRITE, never);
    connecting[3]!.resolve("d");
    await expect(late).rejects.toMatchObject({ code: StoreTimeoutError.code, outcome: "unknown" });
    await new Promise((resolve) => setTimeout(resolve, 400));
    limit.close();
  });

  test("a runtime that refuses one more timer for a late statement → the caller has its outcome, and the connection is dropped", async () => {
    const { lender, limit, happened, connecting } = setUp(20, { connections: 0 });
    limit.deadlinesOf("longer")!.add = () => {
      throw new Error("You have exceeded the number of active timeouts you may set.");
    };
    const late = Checkout.of(lender, WRITE, never);
    connecting[0]!.resolve("a");
    await expect(late).rejects.toMatchObject({ code: StoreTimeoutError.code, outcome: "unknown" });
    expect(happened).toEqual(["drop a"]);
  });

  test("the connection arrives late, but in time → the statement has the whole limit", async () => {
    const { lender, limit, connecting } = setUp(60_000);
    const deadlines = limit.deadlinesOf("usual")!;
    const renewed: number[] = [];
    const renew = deadlines.renew.bind(deadlines);
    deadlines.renew = (entry) => {
      renew(entry);
      renewed.push(entry.deadline - deadlines.now());
    };
    const began = Checkout.of(lender, READ, () => Promise.resolve("answer"));
    await turns();
    connecting[0]!.resolve("a");
    expect(await began).toBe("answer");
    expect(renewed).toEqual([expect.closeTo(60_000, -1)]);
  });

  test("as many were dropped as the pool has → the connection is kept, and returned when the statement is done", async () => {
    const { lender, happened, connecting } = setUp(20, { connections: 1 });
    const work = Promise.withResolvers<string>();
    const first = Checkout.of(lender, READ, never);
    const second = Checkout.of(lender, READ, () => work.promise);
    connecting[0]!.resolve("a");
    connecting[1]!.resolve("b");
    await expect(first).rejects.toMatchObject({ outcome: "none" });
    await expect(second).rejects.toMatchObject({ outcome: "none" });
    expect(happened).toEqual(["drop a"]);
    work.resolve("late");
    await turns();
    expect(happened).toEqual(["drop a", "return b"]);
  });

  test("kept beyond the longer limit, or when the store is closed → dropped all the same, once", async () => {
    const { lender, limit, happened, connecting } = setUp(20, { connections: 1 });
    const work = Promise.withResolvers<string>();
    const all = ["a", "b"].map(() => Checkout.of(lender, READ, () => work.promise));
    connecting[0]!.resolve("a");
    connecting[1]!.resolve("b");
    await Promise.allSettled(all);
    limit.close();
    expect(happened).toEqual(["drop a", "drop b"]);
    work.reject(new Error("lost"));
    await turns();
    expect(happened).toEqual(["drop a", "drop b"]);
  });

  test("a long statement while the store closes → abandoned at once", async () => {
    const { lender, limit, happened, connecting } = setUp(60_000);
    const running = Checkout.of(lender, LONG, never);
    connecting[0]!.resolve("a");
    await turns();
    limit.close();
    await expect(running).rejects.toThrow(ClosedError);
    await expect(Checkout.of(lender, LONG, never)).rejects.toThrow(ClosedError);
    connecting[1]!.resolve("b");
    await turns();
    expect(happened).toEqual(["drop a", "unused b"]);
  });

  test("without a limit → no deadline", async () => {
    const { lender, happened, connecting } = setUp(1);
    const work = Promise.withResolvers<string>();
    const began = Checkout.of(lender, UNLIMITED, () => work.promise);
    connecting[0]!.resolve("a");
    await turns();
    await turns();
    work.resolve("answer");
    expect(await began).toBe("answer");
    expect(happened).toEqual(["return a"]);
  });
});

describe("checkout: outcomes", () => {
  test("no connection → none; a failed write → unknown, and its connection is dropped only if it broke", async () => {
    const { lender, happened, connecting } = setUp(60_000);
    const refused = Checkout.of(lender, WRITE, never);
    connecting[0]!.reject(new Error("refused"));
    await expect(refused).rejects.toThrow("refused, none");
    for (const [nth, message] of ["lost", "syntax"].entries()) {
      const failed = Checkout.of(lender, WRITE, () => Promise.reject(new Error(message)));
      connecting[nth + 1]!.resolve(message);
      await expect(failed).rejects.toThrow(`${message}, unknown`);
    }
    const thrown = Checkout.of(lender, TRANSACTION, () => {
      throw new Error("syntax");
    });
    connecting[3]!.resolve("c");
    await expect(thrown).rejects.toThrow("syntax, none");
    expect(happened).toEqual(["drop lost", "return syntax", "return c"]);
  });

  test("connections that may not be used → others are borrowed, at most one more than the pool has", async () => {
    let refused = 0;
    const { lender, connecting } = setUp(60_000, { connections: 2, admit: () => ++refused > 2 });
    const began = Checkout.of(lender, READ, (connection) => Promise.resolve(connection));
    for (const nth of [0, 1, 2]) {
      connecting[nth]!.resolve(`connection ${nth}`);
      await turns();
    }
    expect(await began).toBe("connection 2");
    refused = -1;
    const none = Checkout.of(lender, READ, () => Promise.resolve("never"));
    const refusal = expect(none).rejects.toThrow("none admitted, none");
    for (const nth of [3, 4, 5]) {
      connecting[nth]!.resolve("open transaction");
      await turns();
    }
    await refusal;
    expect(connecting.length).toBe(6);
  });
});

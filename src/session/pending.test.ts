import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { StoreError, StoreUnavailableError } from "../errors.ts";
import { isUnknown, LostSessionWrites, LostWrites, type LostWrite } from "./lost-writes.ts";
import { NextToken } from "./next-token.ts";
import { Pending, type Operation } from "./pending.ts";
import type { Token } from "./token.ts";
import type { Write } from "./write.ts";

function pending(...operations: Operation[]): Pending {
  const list = new Pending();
  for (const operation of operations) list.add(operation);
  return list;
}

describe("the intent of a commit", () => {
  test.each([
    [[], "save"],
    [["regenerate"], "regenerate"],
    [["regenerate", "regenerate"], "regenerate"],
    [["login"], "login"],
    [["login", "regenerate"], "login"],
    [["regenerate", "reset"], "reset"],
    [["reset", "login"], "login"],
    [["login", "destroy", "regenerate"], "destroy"],
    [["destroy", "login"], "login"],
  ] as const)("%j → %s", (operations, intent) => {
    const list = pending(...operations);
    assert.equal(list.intent, intent);
    assert.equal(list.isDerived, false);
  });

  test("a change of user in the data → that operation, until the application requests another than a new id", () => {
    const list = pending("regenerate");
    list.derive("login");
    assert.deepEqual([list.intent, list.isDerived], ["login", true]);
    list.add("regenerate");
    assert.deepEqual([list.intent, list.isDerived], ["login", true]);
    list.derive("reset");
    assert.equal(list.intent, "reset");
    list.add("login");
    assert.deepEqual([list.intent, list.isDerived], ["login", false]);
  });
});

describe("a cut", () => {
  test("the list grows after it → told, and only what was before it is done", () => {
    const list = pending("login");
    const cut = list.cut();
    assert.equal(list.hasGrownSince(cut), false);
    list.add("regenerate");
    assert.equal(list.hasGrownSince(cut), true);
    assert.equal(list.isDue(cut), true);
    list.doneUpTo(cut, true);
    assert.equal(list.isDue(cut), false);
    assert.equal(list.intent, "regenerate"); // and not a second login
    assert.equal(list.isDue(list.cut()), true);
    list.doneUpTo(list.cut(), true);
    assert.equal(list.intent, "save");
  });

  test("a cut in the middle → everything before it is done", () => {
    const list = pending("reset", "regenerate", "login");
    const cut = list.cut();
    list.add("destroy");
    list.doneUpTo(cut, true);
    assert.equal(list.intent, "destroy");
    list.doneUpTo(cut, true); // found once more: nothing is left of it
    assert.equal(list.intent, "destroy");
  });

  test("before the first request → nothing is due, and nothing is done by it", () => {
    const list = new Pending();
    const cut = list.cut();
    assert.equal(list.isDue(cut), false);
    list.add("login");
    assert.equal(list.isDue(cut), false);
    assert.equal(list.hasGrownSince(cut), true);
    list.doneUpTo(cut, true);
    assert.equal(list.intent, "login");
  });

  test("a write of an earlier working copy → the user in the data is still to be logged in", () => {
    const list = new Pending();
    list.derive("login");
    list.doneUpTo(list.cut(), false);
    assert.equal(list.intent, "login");
    list.doneUpTo(list.cut(), true);
    assert.equal(list.intent, "save");
  });
});

const token = (text: string) => ({ text }) as unknown as Token;
const write = (fields: Partial<Write>): Write => ({
  intent: "login",
  cut: null,
  token: null,
  epoch: 0,
  draftOf: null,
  before: null,
  ...fields,
});

describe("the token of the next new id", () => {
  const minting = () => {
    let minted = 0;
    return new NextToken(() => token(`t${++minted}`));
  };

  test("asked for again → the same one, until a row with it is stored", () => {
    const next = minting();
    const first = next.value;
    assert.equal(next.value, first);
    next.use(token("another"));
    assert.equal(next.value, first);
    next.use(null);
    assert.equal(next.value, first);
    next.use(first);
    assert.notEqual(next.value, first);
  });

  test("a write is in flight → what is requested meanwhile gets another one; a write that is done uses its own up", () => {
    const next = minting();
    const list = pending("login");
    const first = next.value;
    const mine = write({ token: first, cut: list.cut() });
    assert.equal(next.inFlight(list), null);
    next.begin(mine);
    assert.equal(next.inFlight(list), first);
    list.add("regenerate");
    assert.equal(next.inFlight(list), null);
    assert.notEqual(next.value, first);
    next.end(mine, true);
    assert.notEqual(next.value, first);
  });

  test("a write is not done → it is repeated with its token", () => {
    const next = minting();
    const list = pending("login");
    const first = next.value;
    const mine = write({ token: first, cut: list.cut() });
    next.begin(mine);
    next.end(mine, false);
    assert.equal(next.inFlight(list), null);
    assert.equal(next.value, first);
  });

  test("a write over the stored row → has no part in it", () => {
    const next = minting();
    const list = new Pending();
    const first = next.value;
    next.begin(write({}));
    assert.equal(next.inFlight(list), null);
    assert.equal(next.value, first);
    next.end(write({}), false);
    assert.equal(next.value, first);
  });
});

describe("writes whose answer was lost", () => {
  const unknown = new StoreUnavailableError("Lost.", { outcome: "unknown" });

  test("the answer is lost → found by the version, until it is cleared", async () => {
    const lost = new LostWrites<string>();
    assert.equal(lost.isEmpty, true);
    await assert.rejects(
      lost.during(7, "mine", () => Promise.reject(unknown)),
      unknown,
    );
    assert.deepEqual([lost.isEmpty, lost.find(7), lost.find(8)], [false, "mine", undefined]);
    lost.clear();
    assert.deepEqual([lost.isEmpty, lost.find(7)], [true, undefined]);
  });

  test("the write is done, or did not happen → nothing to find", async () => {
    const lost = new LostWrites<string>();
    assert.equal(await lost.during(7, "mine", () => Promise.resolve("done")), "done");
    const none = new StoreUnavailableError("Refused.", { outcome: "none" });
    await expect(lost.during(7, "mine", () => Promise.reject(none))).rejects.toBe(none);
    await expect(lost.during(7, "mine", () => Promise.reject(new Error("No.")))).rejects.toThrow("No.");
    assert.equal(lost.isEmpty, true);
  });

  test("the token of a lost new id → the first there is", () => {
    const lost = new LostSessionWrites();
    assert.deepEqual([lost.token, lost.deleted], [null, false]);
    const of = (fields: Partial<Write>): LostWrite => ({
      ...write(fields),
      written: { plaintext: new Uint8Array(), under: null },
    });
    lost.add(1, of({}));
    assert.equal(lost.token, null);
    const [first, second] = [token("a"), token("b")];
    lost.add(2, of({ token: first }));
    lost.add(3, of({ token: second }));
    assert.equal(lost.token, first);
  });

  test.each([
    [unknown, true],
    [new StoreUnavailableError("Refused.", { outcome: "none" }), false],
    [Object.assign(new Error("No."), { outcome: "unknown" }), false],
    [undefined, false],
  ])("isUnknown: %s → %s", (error, answer) => {
    assert.equal(isUnknown(error), answer);
    assert.equal(error instanceof StoreError && error.outcome === "unknown", answer);
  });
});

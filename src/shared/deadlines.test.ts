import { afterEach, expect, test, vi } from "vitest";
import { Deadlines, type Limited } from "./deadlines.ts";

afterEach(() => vi.restoreAllMocks());

function entry(): Limited & { readonly expired: Promise<void> } {
  const { promise: expired, resolve } = Promise.withResolvers<void>();
  return { deadline: 0, earlier: null, later: null, expired, expire: resolve };
}

/** As a runtime does that allows 10,000 timers, while there are as many. */
function refuseTimers(after: number): void {
  const real = globalThis.setTimeout;
  let given = 0;
  vi.spyOn(globalThis, "setTimeout").mockImplementation(((...args: Parameters<typeof real>) => {
    if (given++ >= after) throw new Error("quota exceeded");
    return real(...args);
  }) as never);
}

test.each([0, 1])(
  "deadlines: the runtime refuses a timer after %d more → that operation fails, and the next one has its limit",
  async (after) => {
    const deadlines = new Deadlines(50);
    refuseTimers(after);
    const refused = entry();
    expect(() => deadlines.add(refused)).toThrow("quota exceeded");
    vi.restoreAllMocks();
    const next = entry();
    deadlines.add(next);
    await next.expired;
    deadlines.remove(refused); // is not in the list
    const last = entry();
    deadlines.add(last);
    deadlines.expireAll();
    await last.expired;
  },
);

test("deadlines: closed without entries → no timer is left; a later entry has its limit", async () => {
  const clear = vi.spyOn(globalThis, "clearTimeout");
  const deadlines = new Deadlines(50);
  deadlines.close();
  expect(clear).not.toHaveBeenCalled();
  const first = entry();
  deadlines.add(first);
  deadlines.close(); // has an entry
  expect(clear).not.toHaveBeenCalled();
  deadlines.remove(first);
  deadlines.close();
  expect(clear).toHaveBeenCalledTimes(1);
  const next = entry();
  deadlines.add(next);
  await next.expired;
});

test("deadlines: an entry begins anew → it expires after those that were added meanwhile", async () => {
  const deadlines = new Deadlines(30);
  const order: string[] = [];
  const named = (name: string): Limited => ({ ...entry(), expire: () => void order.push(name) });
  const [first, second, third] = [named("first"), named("second"), named("third")];
  for (const each of [first, second, third]) deadlines.add(each);
  deadlines.renew(second); // from the middle
  deadlines.renew(first); // from the head
  deadlines.renew(first); // is the last already
  expect(first.deadline).toBeGreaterThanOrEqual(second.deadline);
  deadlines.expireAll();
  expect(order).toEqual(["third", "second", "first"]);
});

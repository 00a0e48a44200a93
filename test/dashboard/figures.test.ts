import { describe, expect, test } from "vitest";
import { chart } from "../../src/dashboard/chart.ts";
import { Counts, periods, sumOf } from "../../src/dashboard/counts.ts";
import { sampleOf } from "../../src/dashboard/sample.ts";
import { recordsOf } from "../../src/manager.ts";
import { randomBytes } from "../../src/sealing/random.ts";
import type { AuditStore, DayCount } from "../../src/store/audit.ts";
import type { RowInfo } from "../../src/store/row.ts";
import { Browser, world } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 3_600_000;

/** Counts one event for each minute, and remembers what it was asked. */
function counting(
  now: { now: number },
  gate: Promise<void> = Promise.resolve(),
): { counts: Counts; asked: [number, number][] } {
  const asked: [number, number][] = [];
  const store = {
    count: async (since: number, until: number): Promise<DayCount[]> => {
      asked.push([since, until]);
      if (asked.length > 4) await gate;
      const minutes = Math.ceil(Math.min(until, now.now) / MINUTE) - Math.ceil(since / MINUTE);
      return [{ day: 0, event: 2, outcome: 0, device: 1, count: Math.max(0, minutes) }];
    },
    prunedCounts: async (): Promise<DayCount[]> => [],
  };
  return { counts: new Counts(store as unknown as AuditStore, () => now.now), asked };
}

describe("counts of the dashboard", () => {
  test.each(["hour", "day", "month"] as const)(
    "%s: first view → at most four statements, the rest in the background; later views → what has happened since",
    async (name) => {
      const now = { now: Date.UTC(2026, 10, 30, 12, 34) };
      const { promise: gate, resolve: open } = Promise.withResolvers<void>();
      const { counts, asked } = counting(now, gate);
      await counts.figures(name); // does not wait for the fifth
      open();
      await counts.settled();
      const all = asked.length;
      const { pieces } = await counts.figures(name);
      expect(pieces.every(({ counts: some }) => some !== null)).toBe(true);
      expect(asked.length - all).toBeLessThanOrEqual(2);
      const { step, steps } = periods[name];
      const start = Math.floor(now.now / step) * step - (steps - 1) * step;
      const sum = pieces.reduce((total, piece) => total + sumOf(piece.counts, () => true), 0);
      expect(sum).toBe((now.now - start) / 60_000);
    },
  );

  test("a day whose events are pruned after it was counted → counted again, and each event once", async () => {
    const now = { now: Date.UTC(2026, 10, 30, 12, 34) };
    const day = Math.floor(now.now / 86_400_000) - 10;
    const event: DayCount = { day, event: 2, outcome: 0, device: 1, count: 100 };
    const held = { live: [event], pruned: [] as DayCount[] };
    const store = {
      count: async (since: number, until: number) =>
        held.live.filter((one) => since <= one.day * 86_400_000 && one.day * 86_400_000 < until),
      prunedCounts: async () => held.pruned,
    };
    const counts = new Counts(store as unknown as AuditStore, () => now.now);
    const total = async (): Promise<number> => {
      now.now += 10_000;
      await counts.figures("month");
      await counts.settled();
      const { pieces } = await counts.figures("month");
      return pieces.reduce((sum, piece) => sum + sumOf(piece.counts, () => true), 0);
    };
    expect(await total()).toBe(100);
    held.pruned = held.live.splice(0);
    expect(await total()).toBe(100);
  });

  test("a piece that has just ended → is counted again until late transactions are over, then never", async () => {
    const now = { now: Date.UTC(2026, 10, 30, 12, 0, 30) };
    const { counts, asked } = counting(now);
    await counts.figures("day");
    await counts.settled();
    const [eleven, noon] = [Date.UTC(2026, 10, 30, 11), Date.UTC(2026, 10, 30, 12)];
    const again = () =>
      asked.splice(0).filter(([since, until]) => since >= eleven && since < noon && until <= noon);
    again();
    await counts.figures("day");
    const settled = now.now - MINUTE;
    expect(again()).toEqual([[settled, noon]]);
    now.now += MINUTE;
    await counts.figures("day");
    expect(again()).toEqual([[settled, noon]]);
    now.now += MINUTE;
    await counts.figures("day");
    expect(again()).toEqual([]);
  });

  test.each(["hour", "day", "month"] as const)(
    "%s: renewed every ten seconds for three hours → at most four statements each time, and none covers more than 70 seconds",
    async (name) => {
      const now = { now: Date.UTC(2026, 10, 30, 22, 30) };
      const { counts, asked } = counting(now);
      await counts.figures(name);
      await counts.settled();
      await counts.figures(name);
      for (let poll = 0; poll < 1_080; poll++) {
        now.now += 10_000;
        asked.length = 0;
        const { pieces } = await counts.figures(name);
        expect(asked.length).toBeLessThanOrEqual(4);
        for (const [since, until] of asked)
          expect(Math.min(until, now.now) - since).toBeLessThanOrEqual(70_000);
        expect(pieces.every((piece) => piece.counts !== null)).toBe(true);
        const sum = pieces.reduce((total, piece) => total + sumOf(piece.counts, () => true), 0);
        expect(sum).toBe(Math.ceil(now.now / MINUTE) - Math.ceil(pieces[0]!.from / MINUTE));
      }
    },
  );

  test("many views within five seconds, some at once → counted once", async () => {
    const now = { now: Date.UTC(2026, 10, 30, 12, 34) };
    const { counts, asked } = counting(now);
    await counts.figures("day");
    await counts.settled();
    now.now += 10_000;
    asked.length = 0;
    const some = await Promise.all([counts.figures("day"), counts.figures("day")]);
    now.now += 4_999;
    some.push(await counts.figures("day"));
    expect(asked).toHaveLength(2);
    expect(new Set(some).size).toBe(1);
    now.now += 1;
    await counts.figures("day");
    expect(asked.length).toBeGreaterThan(2);
  });

  test("a database that counts slowly → the next statements cover less time", async () => {
    const now = Date.UTC(2026, 10, 30, 12, 59);
    const spans: number[] = [];
    const store = {
      count: async (since: number, until: number) => {
        spans.push(until - since);
        if (spans.length < 4) await new Promise((resolve) => setTimeout(resolve, 60));
        return [];
      },
      prunedCounts: async () => [],
    };
    const counts = new Counts(store as unknown as AuditStore, () => now);
    await counts.figures("day");
    expect(spans.slice(0, 4)).toEqual([900_000, 450_000, 225_000, 112_500]);
    await counts.settled();
  });

  test("the next day → the day before is counted once as a whole, and what was pruned is added", async () => {
    const now = { now: Date.UTC(2026, 10, 30, 23, 30) };
    const { counts } = counting(now);
    await counts.figures("month");
    await counts.settled();
    now.now += HOUR;
    await counts.figures("month");
    await counts.settled();
    const { pieces } = await counts.figures("month");
    expect(sumOf(pieces.at(-2)!.counts, () => true)).toBe(24 * 60);
    expect(sumOf(pieces.at(-1)!.counts, () => true)).toBe(30);
  });

  test("a statement fails → the page fails, and the next one counts again", async () => {
    const now = { now: Date.UTC(2026, 10, 30, 12) };
    let isDown = true;
    const store = {
      count: async () => {
        if (isDown) throw new Error("down");
        return [];
      },
      prunedCounts: async () => [],
    };
    const counts = new Counts(store as unknown as AuditStore, () => now.now);
    await expect(counts.figures("hour")).rejects.toThrow("down");
    isDown = false;
    await counts.figures("hour");
    await counts.settled();
    expect((await counts.figures("hour")).pieces.every(({ counts: some }) => some !== null)).toBe(true);
  });
});

const now = Date.UTC(2026, 10, 30, 12);

/** A table with random ids, of which `scanInfo` returns pages. */
function table(
  size: number,
  isLive: (index: number) => boolean = () => true,
): { ids: Uint8Array[]; statements: number; scan: typeof scan } {
  const ids = Array.from({ length: size }, () => randomBytes(32)).toSorted((a, b) => Buffer.compare(a, b));
  const it = { ids, statements: 0, scan };
  const ended = new Set(ids.filter((_, index) => !isLive(index)));
  async function scan(after: Uint8Array | null, limit: number): Promise<RowInfo[]> {
    it.statements++;
    let [from, to] = [0, after === null ? 0 : ids.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (Buffer.compare(ids[middle]!, after!) > 0) to = middle;
      else from = middle + 1;
    }
    return ids.slice(from, from + limit).map(
      (id) =>
        ({
          id,
          head: new Uint8Array(64),
          client: null,
          userRef: null,
          bytes: 100,
          createdAt: now,
          updatedAt: now,
          expiresAt: ended.has(id) ? now - HOUR : now + HOUR,
          absoluteExpiresAt: now + HOUR,
          version: 1,
        }) as RowInfo,
    );
  }
  return it;
}

describe("sample of the table", () => {
  test.each([0, 1, 999, 1_000, 1_001, 1_500, 2_000])(
    "%d sessions → counted exactly or close, in two statements",
    async (size) => {
      const it = table(size);
      const records = recordsOf(world().sessions as never);
      records.store.scanInfo = it.scan;
      for (let round = 0; round < 20; round++) {
        it.statements = 0;
        const sample = await sampleOf(records);
        expect(it.statements).toBeLessThanOrEqual(2);
        if (sample.isExact) expect(sample.rows).toBe(size);
        else expect(Math.abs(sample.rows - size) / size).toBeLessThan(6 * sample.error);
        if (size < 1_000) expect(sample.isExact).toBe(true);
      }
    },
  );

  test("100,000 sessions → an estimate whose error is as large as it says", async () => {
    const it = table(100_000);
    const records = recordsOf(world().sessions as never);
    records.store.scanInfo = it.scan;
    const errors = [];
    for (let round = 0; round < 100; round++) {
      const sample = await sampleOf(records);
      expect(sample.isExact).toBe(false);
      errors.push((sample.rows - 100_000) / 100_000 / sample.error);
    }
    const spread = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
    expect(spread).toBeGreaterThan(0.5);
    expect(spread).toBeLessThan(1.6);
  });
});

describe("sampled figures of the overview", () => {
  const tile = (page: string, label: string): string =>
    new RegExp(`>${label}</span>([\\s\\S]*?)</li>`)
      .exec(page)![1]!
      .replaceAll(/<[^>]+>/g, " ")
      .trim()
      .replaceAll(/\s+/g, " ");

  test("one session of 100 is live → the margin of its tile covers the error of the share, not that of all sessions alone", async () => {
    const it = world();
    let live = 0;
    const isLive = (): boolean => {
      const chosen = Math.random() < 0.01;
      live += chosen ? 1 : 0;
      return chosen;
    };
    recordsOf(it.sessions as never).store.scanInfo = table(50_000, isLive).scan;
    const browser = new Browser(it.handler);
    let inside = 0;
    for (let round = 0; round < 60; round++) {
      const text = tile(await browser.text("/live"), "Live sessions");
      const [, count = "0", margin = "0"] = /^about ([\d,]+) estimate, ± (\d+)%$/.exec(text) ?? [];
      const estimate = Number(count.replaceAll(",", ""));
      if (Math.abs(estimate - live) <= (live * Number(margin)) / 100) inside++;
    }
    // About 57 are expected. With the error of the number of all sessions alone, it would be about 8.
    expect(inside).toBeGreaterThanOrEqual(45);
  });

  test("the sample has no live, signed-in or waiting session → none in the sample, not none at all", async () => {
    const it = world();
    const { store } = recordsOf(it.sessions as never);
    const browser = new Browser(it.handler);
    store.scanInfo = table(3_000, () => false).scan;
    const ended = await browser.text("/live");
    expect(tile(ended, "Live sessions")).toBe("about 0 none in the sample");
    store.scanInfo = table(3_000).scan;
    const live = await browser.text("/live");
    expect(tile(live, "Signed in")).toBe("about 0 none in the sample");
    expect(tile(live, "Live sessions")).toMatch(/estimate, ± 7%$/);
    expect(live.replaceAll(/<[^>]+>/g, " ")).toMatch(/Longest wait\s+none in the sample/);
  });
});

describe("charts of the dashboard", () => {
  const draw = (...values: number[]): string =>
    chart({
      id: "c",
      title: "Logins",
      labels: values.map(String),
      series: [{ name: "Logins", values, color: "blue" }],
    }).toString();

  test("the same numbers again → the same picture; one number differs → another one", () => {
    const first = draw(1, 2, 3);
    expect(draw(1, 2, 3)).toBe(first);
    const [other, again] = [draw(1, 2, 4), draw(1, 2, 3)];
    expect(other.match(/<svg[\s\S]*<\/svg>/)![0]).not.toBe(first.match(/<svg[\s\S]*<\/svg>/)![0]);
    expect(again).toBe(first);
  });

  test("one for wide screens and one for phones → neither has a style, a handler or a name for screen readers", () => {
    const markup = draw(5, 6);
    expect(markup.match(/<svg class="(wide|narrow)" aria-hidden="true" focusable="false" /g)).toHaveLength(2);
    expect(markup).not.toMatch(/<style| style=| on\w+=/);
  });
});

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { HttpLine } from "../../benchmarks/peers/http-level.ts";
import { readOptions } from "../../benchmarks/peers/options.ts";
import { writeReport } from "../../benchmarks/peers/report.ts";
import { ratioOf, spread, timesAsFast } from "../../benchmarks/peers/statistics.ts";
import type { Line, StoreResults } from "../../benchmarks/peers/store-level.ts";

const steady = [100, 110, 90];
const wild = [100, 300, 20];

/** The report of these results, as Markdown. */
function reportOf(results: Partial<StoreResults>, http: HttpLine[] | null, ...args: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "stored-session-report-"));
  const output = join(folder, "report.md");
  const stores = { lines: [], holdings: [], changes: new Map(), skipped: [], load: 1, ...results };
  try {
    writeReport(readOptions(["--output", output, ...args]), stores, http && { lines: http, load: 1 }, []);
    return readFileSync(output, "utf8");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function line(candidate: string, speeds: number[], first: number[]): Line {
  const of = { database: "mysql", size: 300, operation: "read", callers: 64, candidate } as const;
  const compared = { spread: spread(speeds), timesFaster: timesAsFast(first, speeds) };
  return { ...of, ...compared, perSecond: 100, node: 1, server: 1 };
}

const httpLine = (kind: string): HttpLine => {
  const latencies = { loop: 1, answer: 1, loopEqually: 1, answerEqually: 1 };
  return {
    database: "postgres",
    kind,
    perSecond: 100,
    spread: 1,
    timesFaster: 1,
    user: 1,
    system: 1,
    server: 1,
    budget: null,
    ...latencies,
  };
};

test("report: a spread that is too wide → the line is marked and has no ratio", () => {
  const lines = [
    line("Stored Session", steady, steady),
    line("calm", [50, 55, 45], steady),
    line("erratic", wild, steady),
  ];
  const report = reportOf({ lines }, null);
  expect(report).toContain("| Stored Session | 100 | 10% | 1.00× |");
  expect(report).toContain("| calm | 100 | 10% | 2.00× |");
  expect(report).toContain("| erratic | 100 | 140% | unsteady |");
});

test("an unsteady first line → no ratios", () => {
  const lines = [line("Stored Session", wild, wild), line("calm", steady, wild)];
  const report = reportOf({ lines }, null);
  expect(report).toContain("| Stored Session | 100 | 140% | unsteady |");
  expect(report).toContain("| calm | 100 | 10% | – |");
});

test("report: above half the median, or nothing done → a wide spread", () => {
  const of = (speeds: number[]) =>
    ratioOf({ spread: spread(speeds), timesFaster: timesAsFast(steady, speeds) });
  expect(of([100, 150, 50])).toBe("1.00×");
  expect(of([100, 151, 50])).toBe("unsteady");
  expect(of([0, 0, 0])).toBe("unsteady");
});

test("report: several stores → each with the sessions that it holds", () => {
  const of = { database: "mysql", size: 300 } as const;
  const holdings = [
    { ...of, candidate: "filled", sessions: 1_005_000, bytes: 613 },
    { ...of, candidate: "not filled", sessions: 5_000, bytes: null },
  ];
  const changes = new Map([["mysql", "InnoDB has more."] as const]);
  const lines = [line("filled", steady, steady)];
  const report = reportOf({ lines, holdings, changes }, null, "--filler", "1000000");
  expect(report).toContain("| filled | 1,005,000 | 613 |");
  expect(report).toContain("| not filled | 5,000 | – |");
  expect(report).toContain("InnoDB has more.");
  expect(report).not.toContain("sessions in each table");
  expect(reportOf({ lines, holdings }, null)).not.toContain("InnoDB");
});

test("report: over HTTP → says which store writes on requests that change nothing", () => {
  const two = [httpLine("Stored Session"), httpLine("connect-pg-simple, disableTouch: true")];
  expect(reportOf({}, two)).toMatch(
    /Touches: at each request .* line with `disableTouch: true` runs without/,
  );
  const [one] = two;
  expect(reportOf({}, [one!])).not.toContain("`disableTouch: true`");
});

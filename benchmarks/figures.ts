/**
 * Writes the figures of docs/performance.md from RESULTS.md. `npm run bench` does it after it has written RESULTS.md; after
 * another change of that file, run `node benchmarks/figures.ts`.
 */
import { readFileSync, writeFileSync } from "node:fs";

export const resultsFile: URL = new URL("RESULTS.md", import.meta.url);
export const docsFile: URL = new URL("../docs/performance.md", import.meta.url);

const [begin, end] = [
  "<!-- Written from RESULTS.md by benchmarks/figures.ts. -->",
  "<!-- End of figures. -->",
];

/** Candidates as RESULTS.md names them, and as docs/performance.md does. */
const shown = new Map([
  ["no session", "no session"],
  ["connect-redis", "connect-redis, not persisted"],
  ["Stored Session on PostgreSQL", "**Stored Session, encrypted**"],
  ["express-session, Stored Session on PostgreSQL", "**Stored Session in express-session, encrypted**"],
  ["cookie-session", "cookie-session"],
  ["iron-session", "iron-session"],
  ["connect-pg-simple", "connect-pg-simple"],
]);

/** The rows of the first table under a heading, as objects keyed by column. */
function rowsUnder(results: string, heading: string): Record<string, string>[] {
  const [, section] = `\n${results}`.split(`\n## ${heading}\n`);
  const lines = section?.split("\n## ")[0]?.split("\n") ?? [];
  const first = lines.findIndex((line) => line.startsWith("|"));
  if (first === -1) return [];
  const cells = (line: string): string[] =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
  const columns = cells(lines[first]!);
  const rows = lines.slice(first + 2);
  const count = rows.findIndex((line) => !line.startsWith("|"));
  return rows
    .slice(0, count === -1 ? rows.length : count)
    .map((line) => Object.fromEntries(cells(line).map((cell, index) => [columns[index]!, cell])));
}

const numberOf = (cell: string | undefined): number => Number((cell ?? "").replaceAll(",", ""));

/** For example "3.39 times". Null if the line is unsteady, so that it has no ratio. */
function ratioOf(results: string, operation: string): string | null {
  const row = rowsUnder(results, "Stores, postgres, 300 B").find(
    (one) =>
      one["operation"] === operation && one["callers"] === "64" && one["store"] === "connect-pg-simple",
  );
  if (row === undefined)
    throw new Error(`RESULTS.md has no line of connect-pg-simple for ${operation} with 64 callers.`);
  const ratio = row["ours"] ?? "";
  return ratio.endsWith("×") ? `${ratio.slice(0, -1)} times` : null;
}

/** @throws if the results lack a line that the page shows */
export function figuresOf(results: string): string {
  const http = rowsUnder(results, "Express over HTTP, postgres");
  const table = [...shown.keys()].map((kind) => {
    const row = http.find(({ sessions }) => sessions === kind);
    if (row === undefined) throw new Error(`RESULTS.md has no line "${kind}" over HTTP on PostgreSQL.`);
    const node = numberOf(row["Node user us"]) + numberOf(row["Node system us"]);
    return { kind, speed: numberOf(row["requests/s"]), node, server: numberOf(row["server us"]) };
  });
  const ratios = [ratioOf(results, "read"), ratioOf(results, "write")] as const;
  const [reads, writes] = ratios.map((ratio) => ratio ?? "an unsteady multiple of");
  return [
    "| Express on PostgreSQL, one request in ten changes its session | requests/s | Node µs | database µs |",
    "| --- | ---: | ---: | ---: |",
    ...table
      .toSorted((a, b) => b.speed - a.speed)
      .map(({ kind, speed, node, server }) => {
        const bold = kind.includes("Stored Session");
        const cell = (value: number): string =>
          bold ? `**${value.toLocaleString("en")}**` : value.toLocaleString("en");
        return `| ${[shown.get(kind)!, cell(speed), cell(node), server > 0 ? cell(server) : "–"].join(" | ")} |`;
      }),
    "",
    `At the stores, with 64 callers and sessions of 300 bytes, Stored Session performs ${reads} the reads and ${writes} the`,
    "changed writes of connect-pg-simple, encryption included.",
  ].join("\n");
}

/** The page with these figures in place of those that it has. */
export function withFigures(page: string, figures: string): string {
  const [start, stop] = [page.indexOf(begin), page.indexOf(end)];
  if (start === -1 || stop < start) throw new Error(`docs/performance.md lacks "${begin}" or "${end}".`);
  return `${page.slice(0, start + begin.length)}\n\n${figures}\n\n${page.slice(stop)}`;
}

if (import.meta.main) {
  try {
    const page = readFileSync(docsFile, "utf8");
    writeFileSync(docsFile, withFigures(page, figuresOf(readFileSync(resultsFile, "utf8"))));
  } catch (error) {
    console.error(`docs/performance.md was not written: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}

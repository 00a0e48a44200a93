/** What the command printed, as the documentation shows it: what differs from run to run is replaced. */
export function asInDocs(lines: readonly string[], folder: string): string {
  const handle = "q0VwTcQ1m8yDn5rXk2Zb7uHf3sLj9eGa4iPo6tWv1xM";
  return lines
    .map((line) => line.replaceAll(folder, "/home/you/shop"))
    .map((line) =>
      line.replace(
        /\b(newest|key +) ?[0-9a-f]{8}\b/g,
        (_, word: string) => `${word}${word.endsWith(" ") ? "" : " "}3f9a1c07`,
      ),
    )
    .map((line) => line.replace(/(?<![\w-])[\w-]{43}(?![\w-])/g, handle))
    .map((line) =>
      line.replace(
        /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g,
        line.startsWith("ends") ? "2026-12-23 09:30:00 UTC" : "2026-11-23 09:30:00 UTC",
      ),
    )
    .map((line) => line.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "2026-11-23T09:30:00.000Z"))
    .map((line) =>
      line.replace(/answers in \d+ ms/, "answers in 1 ms").replace(/SQLite [\d.]+\d/, "SQLite 3.50.4"),
    )
    .map((line) => line.replace(/\((\d+ \w+ ago|just now)\)/, "(3 seconds ago)"))
    .map((line) => (line.startsWith(`${handle} `) || line.startsWith("handle   ") ? aligned(line) : line))
    .map((line) => line.replace(/(::1|::ffff:127\.0\.0\.1|127\.0\.0\.1)/, "192.0.2.7"))
    .join("\n")
    .trimEnd();
}

/** One row of the table that `list` prints, with times and widths that do not differ. */
function aligned(line: string): string {
  const cells = line.split(/ {2,}/);
  if (cells.length < 7) return line;
  const widths = [43, 4, 4, 7, 4, 4, 0];
  return cells
    .map((cell) => (/^\d s$|^\d\d s$/.test(cell) ? "3 s" : cell))
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join("  ")
    .trimEnd();
}

const [begin, end] = ["<!-- transcript -->\n\n```console\n", "\n```\n\n<!-- /transcript -->"];

/** The transcript that a page holds, and the page with another in its place. */
export function transcriptIn(page: string, transcript: string): [old: string, page: string] {
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to === -1) throw new Error("The page has no place for a transcript.");
  const start = from + begin.length;
  return [page.slice(start, to), page.slice(0, start) + transcript + page.slice(to)];
}

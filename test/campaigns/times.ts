/** The table of times in docs/incident-guide.md. */

/** Seconds for a million rows, by command. */
export type Times = Record<string, number>;

const titles: Readonly<Record<string, string>> = {
  sqlite: "SQLite",
  postgres: "PostgreSQL",
  mysql: "MySQL",
  mariadb: "MariaDB",
};

/** The commands of the guide whose time grows with the table. */
const commands: Readonly<Record<string, string>> = {
  "reseal --share 1 --rate 100000 --batch-size 100": "reseal --share 1 --rate 100000 --batch-size 100",
  "revoke --all": "revoke --all --yes",
  "keys status": "keys status",
};

/** Rounded up: to ten seconds, and to minutes from two on. */
export function roughly(seconds: number): string {
  return seconds < 120 ? `${Math.ceil(seconds / 10) * 10} s` : `${Math.ceil(seconds / 60)} min`;
}

/** In Markdown, one column for each database that was measured. */
export function timesTable(measured: Readonly<Record<string, Times>>): string {
  const names = Object.keys(titles).filter((name) => Object.hasOwn(measured, name));
  const rows = Object.entries(commands).map(([shown, command]) => {
    const times = names.map((name) => {
      const seconds = measured[name]![command];
      if (seconds === undefined) throw new Error(`The guide did not run "${command}" on ${name}.`);
      return roughly(seconds);
    });
    return `| \`${shown}\` | ${times.join(" | ")} |`;
  });
  const head = ["for a million sessions", ...names.map((name) => titles[name])].join(" | ");
  return [`| ${head} |`, `|${" --- |".repeat(names.length + 1)}`, ...rows].join("\n");
}

const place = /(<!-- times -->\n\n)[\s\S]*?(\n\n<!-- \/times -->)/;

/** The page with the table of these times, which must be of every database. */
export function withTimes(page: string, measured: Readonly<Record<string, Times>>): string {
  const missing = Object.keys(titles).filter((name) => !Object.hasOwn(measured, name));
  if (missing.length > 0) throw new Error(`Not measured: ${missing.join(", ")}.`);
  if (!place.test(page)) throw new Error("The page has no place for the times.");
  return page.replace(place, (_, begin: string, end: string) => begin + timesTable(measured) + end);
}

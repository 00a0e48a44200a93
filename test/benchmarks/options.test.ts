import { expect, test } from "vitest";
import { readOptions } from "../../benchmarks/peers/options.ts";
import { contentOf, smallestSize } from "../../benchmarks/peers/sample.ts";

test.each([
  [["--database", ""], "--database takes a list with at least one element."],
  [["--callers", ","], "--callers takes a list with at least one element."],
  [["--only", ","], "--only takes a list with at least one element."],
  [["--level=,"], "--level takes a list with at least one element."],
  [["--database", "oracle"], "--database knows postgres, mysql, mariadb, sqlite, not oracle."],
  [["--rounds", "2.5"], '--rounds takes whole numbers from 1, not "2.5".'],
  [["--rounds", ""], '--rounds takes whole numbers from 1, not "".'],
  [["--callers", "1,x"], '--callers takes whole numbers from 1, not "x".'],
  [["--rows", "Infinity"], '--rows takes whole numbers from 1, not "Infinity".'],
  [["--filler=-1"], '--filler takes whole numbers from 0, not "-1".'],
  [["--size", "10"], `--size takes whole numbers from ${smallestSize}, not "10".`],
  [["--seconds", "0"], '--seconds takes numbers above 0, not "0".'],
  [["--core", "--peers"], "Give one of --core and --peers, or run them one after another."],
  [["--dashboard", "--database", "mysql"], "--dashboard measures sqlite and postgres, not mysql."],
  [["--profile", "--level", "store"], "--profile takes profiles of HTTP servers. Add http to --level."],
  [["--output", "no/such/folder/x.md"], "--output: there is no folder "],
])(
  "benchmark options: %j → an error that says what is wrong, before anything is measured",
  (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  },
);

test("benchmark options: none → all candidates at both levels, and 5 rounds", () => {
  expect(readOptions([])).toMatchObject({
    databases: ["postgres", "mysql", "mariadb", "sqlite"],
    levels: ["store", "http"],
    only: [],
    rounds: 5,
    filler: 0,
    profile: false,
  });
  expect(readOptions(["--dashboard"])).toMatchObject({ dashboard: true });
});

test.each([smallestSize, 300, 4096])(
  "benchmark sample: %i bytes → a session of as many bytes of JSON",
  (bytes) => {
    expect(JSON.stringify(contentOf(bytes))).toHaveLength(bytes);
  },
);

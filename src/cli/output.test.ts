import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, test } from "vitest";
import { interruptible } from "./interrupt.ts";
import { json, shown, table } from "./format.ts";
import { ago, bytes, moment, plural, remaining, span } from "../shared/wording.ts";
import { runCommand } from "./program.ts";
import { Progress } from "./progress.ts";
import { confirm } from "./work.ts";
import { printable } from "../shared/printable.ts";
import { styled, wrapped, type Terminal } from "./terminal.ts";

function terminal(options: { isTTY: boolean; env?: Record<string, string>; columns?: number }) {
  const stream = () =>
    Object.assign(new PassThrough(), { isTTY: options.isTTY, columns: options.columns ?? 120 });
  const [out, err] = [stream(), stream()];
  const made: Terminal = { out, err, in: stream(), env: options.env ?? {}, cwd: "/nowhere" };
  const text = (from: PassThrough) => {
    let read = "";
    // Since Node 26, a call returns one chunk.
    for (let chunk = from.read(); chunk !== null; chunk = from.read()) read += String(chunk);
    return read;
  };
  return { terminal: made, out: () => text(out), err: () => text(err) };
}

describe("colours", () => {
  test("a terminal → colours, unless NO_COLOR is set", () => {
    for (const [isTTY, env, coloured] of [
      [true, {}, true],
      [true, { NO_COLOR: "1" }, false],
      [true, { TERM: "dumb" }, false],
      [false, {}, false],
    ] as const) {
      const { terminal: place } = terminal({ isTTY, env });
      assert.equal(styled(place.out, place.env, "red", "no").includes("\u001b"), coloured);
    }
  });

  test("help and errors → coloured by the same rule", async () => {
    for (const isTTY of [true, false]) {
      const place = terminal({ isTTY });
      assert.equal(await runCommand(["frob"], place.terminal), 2);
      assert.equal(place.err().includes("\u001b"), isTTY);
      assert.equal(await runCommand([], place.terminal), 0);
      assert.match(place.out(), /Usage: stored-session/);
    }
  });
});

describe("progress", () => {
  test("a terminal → a bar with rate and remaining time, removed at the end", () => {
    const place = terminal({ isTTY: true, env: { NO_COLOR: "1" } });
    let now = 0;
    const progress = new Progress(place.terminal, "Resealing", "session", () => now);
    now = 500;
    progress.update(100, 0.05);
    assert.equal(place.err(), "", "short work shows nothing");
    now = 10_000;
    progress.update(5_000, 0.25);
    assert.equal(
      place.err(),
      "\r\u001b[2KResealing ██████░░░░░░░░░░░░░░░░░░  25%  5,000 sessions  500/s  30 seconds left",
    );
    now = 10_050;
    progress.update(5_100, 0.26);
    assert.equal(place.err(), "", "not more often than the eye follows");
    progress.clear();
    assert.equal(place.err(), "\r\u001b[2K");
  });

  test("no terminal → a plain line every ten seconds, without a percentage if the end is unknown", () => {
    const place = terminal({ isTTY: false });
    let now = 0;
    const progress = new Progress(place.terminal, "Deleting", "session", () => now);
    for (; now <= 25_000; now += 1_000) progress.update(now * 2, undefined);
    progress.clear();
    assert.equal(place.err(), "Deleting: 20,000 sessions, 2,000/s\nDeleting: 40,000 sessions, 2,000/s\n");
  });
});

describe("a terminal", () => {
  const drawn = (columns: number, env: Record<string, string>) => {
    const place = terminal({ isTTY: true, env, columns });
    let now = 0;
    const progress = new Progress(place.terminal, "Resealing", "session", () => now);
    now = 10_000;
    progress.update(5_000, 0.25);
    progress.clear();
    return place.err();
  };

  test("a narrow terminal → a line that does not wrap, with complete colour codes", () => {
    for (let columns = 1; columns <= 200; columns++) {
      const [, bar] = drawn(columns, {}).split("\r\u001b[2K");
      const plain = stripVTControlCharacters(bar!);
      assert.ok(plain.length + "^C".length < Math.max(columns, 3), `${plain.length} of ${columns} columns`);
      if (columns >= 42) assert.match(plain, /^Resealing [█░]* ? 25% .* {2}30 seconds left$/, `${columns}`);
      // As many colours begin as end.
      const colours = bar!.split("\u001b[");
      const count = (code: RegExp) => colours.filter((colour) => code.test(colour)).length;
      assert.equal(count(/^(32|2)m/), count(/^(39|22)m/));
    }
    assert.match(drawn(0, {}), /30 seconds left/, "one that does not say how wide it is");
  });

  test.each([60, 80, 200])(
    "progress of an import of 120,000 sessions at %d columns → no part is cut",
    (columns) => {
      const place = terminal({ isTTY: true, env: { NO_COLOR: "1" }, columns });
      let now = 0;
      const progress = new Progress(place.terminal, "Importing", "session", () => now);
      now = 600_000;
      progress.update(119_000, 0.01);
      const [, line] = place.err().split("\r\u001b[2K");
      assert.match(line!, /^Importing (?:[█░]+ )? +1% {2}119,000 sessions {2}198\/s {2}16 hours left$/);
    },
  );

  test("a dumb terminal → plain lines", () => {
    assert.equal(drawn(80, { TERM: "dumb" }), "Resealing: 25%, 5,000 sessions, 500/s, 30 seconds left\n");
  });
});

describe("long work that ends", () => {
  test("any end → no bar is left behind", async () => {
    const place = terminal({ isTTY: true, env: { NO_COLOR: "1" } });
    let now = 0;
    const failing = interruptible(place.terminal, async () => {
      const progress = new Progress(place.terminal, "Deleting", "session", () => now);
      now = 2_000;
      progress.update(100, 0.5);
      throw new Error("the disk is full");
    });
    await assert.rejects(failing, /disk/);
    const [before, bar, after] = place.err().split("\r\u001b[2K");
    assert.match(bar!, /^Deleting .* left$/);
    assert.deepEqual([before, after], ["", ""]);
  });
});

describe("a question", () => {
  test("no → nothing was changed, exit code 1, and no error", async () => {
    const folder = mkdtempSync(join(tmpdir(), "stored-session-"));
    const place = terminal({ isTTY: true, env: { NO_COLOR: "1" } });
    const at = { ...place.terminal, cwd: folder };
    const where = ["-d", "sqlite:sessions.sqlite3"];
    assert.equal(await runCommand(["migrate", ...where], at), 0);
    const answer = runCommand(["revoke", "--all", ...where], at);
    (place.terminal.in as PassThrough).write("n\n");
    assert.equal(await answer, 1);
    assert.match(place.err(), /This logs everybody out\. \[y\/N\] [^]*Nothing was changed\.\n$/);
    assert.doesNotMatch(place.err(), /Error/);
    rmSync(folder, { recursive: true });
  });

  const ends = {
    "Ctrl-C": (input: PassThrough) => input.write("\u0003"),
    "Ctrl-D": (input: PassThrough) => input.write("\u0004"),
    "a terminal that closes": (input: PassThrough) => input.end(),
  };
  for (const [name, end] of Object.entries(ends)) {
    test(`${name} at it → a stop, not a failure, and no change`, async () => {
      const place = terminal({ isTTY: true, env: { NO_COLOR: "1" } });
      const answer = confirm(place.terminal, undefined, "This logs everybody out.");
      end(place.terminal.in as PassThrough);
      await assert.rejects(answer, { message: "\nNothing was changed.", exitCode: 130 });

      const other = terminal({ isTTY: true, env: { NO_COLOR: "1" } });
      const command = runCommand(["init"], other.terminal);
      end(other.terminal.in as PassThrough);
      assert.equal(await command, 130);
      assert.match(other.err(), /Where do sessions live\?[^]*\nNothing was changed\.\n$/);
      assert.equal(other.out(), "");
    });
  }
});

test.each([60, 80, 200])(
  "help of every command at %d columns → no line is wider, and the options are described",
  async (columns) => {
    const helpOf = async (...args: string[]) => {
      const place = terminal({ isTTY: true, env: { NO_COLOR: "1" }, columns });
      assert.equal(await runCommand([...args, "--help"], place.terminal), 0);
      return place.out();
    };
    const whole = await helpOf();
    const names = [...whole.matchAll(/^ {2}([a-z]+)(?: [<[]\S+)? {2,}/gm)].map(([, name]) => name!);
    assert.ok(names.length >= 15, String(names));
    const pages = [whole, ...(await Promise.all(names.map((name) => helpOf(name))))];
    for (const page of pages) {
      for (const line of page.split("\n"))
        assert.ok(line.length <= columns || !line.trim().includes(" "), `${line.length}: ${line}`);
    }
  },
);

test("text on a terminal: wider than it → broken between words; elsewhere → one line", () => {
  const sentence = 'The tables are not at the version of this package. Run "stored-session migrate".';
  for (const columns of [60, 80, 200]) {
    const { terminal: place } = terminal({ isTTY: true, columns });
    const lines = wrapped(place.out, `✗ Tables      ${sentence}`, 14).split("\n");
    for (const line of lines) assert.ok(line.length <= columns);
    assert.equal(lines.length, columns < 95 ? 2 : 1);
    for (const line of lines.slice(1)) assert.match(line, /^ {14}\S/);
    assert.equal(lines.join(" ").replace(/ {14,}/g, " "), `✗ Tables      ${sentence}`);
  }
  assert.equal(wrapped(terminal({ isTTY: false, columns: 20 }).terminal.out, sentence), sentence);
});

describe("text", () => {
  test("R50 untrusted text → no control character reaches the terminal", () => {
    const hostile = "a\u001b[2Jb\nc\u202ed\u2028e\u0007\u009b";
    for (const text of [printable(hostile), shown({ text: hostile }, false), json(hostile)]) {
      for (const mark of ["\u001b", "\u0007", "\u009b", "b\nc"])
        assert.ok(!text.includes(mark), JSON.stringify(text));
    }
  });

  for (const args of [
    ["\u001b[2Jfoo\u202e"],
    ["list", "--\u001b[2J"],
    ["list", "--limit", "\u001b[2J\u009b"],
  ]) {
    test(`R50 an argument in a usage error, ${JSON.stringify(args)} → escaped`, async () => {
      const place = terminal({ isTTY: false });
      assert.equal(await runCommand(args, place.terminal), 2);
      const text = place.err();
      assert.doesNotMatch(text, /[^\n\P{Cc}]|[\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.match(text, /^Error: [^]*\\u001b/);
    });
  }

  test("R50 JSON → control characters are escaped, and it parses to the same value", () => {
    const hostile = { "a\u009b": "\u007f\u0085\u009b2J\u2028\u2029\u202e\u200b\ufeff\u{e0041}é漢😀" };
    const text = json(hostile);
    assert.doesNotMatch(text, /[^\n\P{Cc}]|[\p{Cf}\p{Zl}\p{Zp}]/u);
    assert.match(text, /é漢😀/);
    assert.deepEqual(JSON.parse(text), hostile);
  });

  test("R50 printed values → no bidirectional or invisible character, in strings and keys", () => {
    const hostile = {
      "a\u200bb": "\u202e\u2066\u2028\u2029\ufeff\u{e0041}\u009bé漢😀",
      list: new Set(["\u00ad"]),
    };
    for (const colors of [false, true]) {
      const text = shown(hostile, colors);
      assert.doesNotMatch(stripVTControlCharacters(text), /[^\n\P{Cc}]|[\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.ok(text.includes("a\\u200bb") && text.includes("\\u202e") && text.includes("é漢😀"), text);
      assert.equal(text.includes("\u001b["), colors);
    }
  });

  test("numbers, sizes and times → formatted for people", () => {
    assert.equal(plural(1, "session"), "1 session");
    assert.equal(plural(12_345, "session"), "12,345 sessions");
    assert.deepEqual([0, 1023, 1024, 1536, 20_480, 5 * 2 ** 30].map(bytes), [
      "0 B",
      "1023 B",
      "1.0 KiB",
      "1.5 KiB",
      "20 KiB",
      "5.0 GiB",
    ]);
    assert.deepEqual([0, 1_000, 119_000, 7_200_000, 86_400_000 * 30].map(span), [
      "0 seconds",
      "1 second",
      "1 minute",
      "2 hours",
      "30 days",
    ]);
    const now = Date.UTC(2026, 10, 23, 9, 30);
    assert.equal(ago(new Date(now - 10), now), "just now");
    assert.equal(ago(new Date(now - 3 * 3_600_000), now), "3 hours ago");
    assert.equal(remaining(new Date(now + 30 * 86_400_000 - 4_000), now), "in 30 days");
    assert.equal(remaining(new Date(now), now), "ended");
    assert.equal(moment(new Date(now)), "2026-11-23 09:30:00 UTC");
  });

  test("tables → aligned, numbers to the right", () => {
    assert.deepEqual(
      table(
        ["key", "rows"],
        [
          ["a", "1"],
          ["long", "1,000"],
        ],
      ),
      ["key    rows", "a         1", "long  1,000"],
    );
  });

  test("session values → JSON", () => {
    const value = {
      at: new Date(0),
      big: 12n,
      bytes: new Uint8Array([1, 2]),
      map: new Map([["a", new Set([1])]]),
      url: new URL("https://example.com/"),
      none: null,
      numbers: [NaN, Infinity, -Infinity, 1.5],
    };
    assert.deepEqual(JSON.parse(json(value)), {
      at: "1970-01-01T00:00:00.000Z",
      big: "12",
      bytes: "AQI=",
      map: [["a", [1]]],
      url: "https://example.com/",
      none: null,
      numbers: ["NaN", "Infinity", "-Infinity", 1.5],
    });
  });
});

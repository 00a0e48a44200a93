import { number, plural, span } from "../shared/wording.ts";
import { styled, type Terminal } from "./terminal.ts";

/** Terminals on whose last line a bar stands. */
const drawn = new WeakSet<Terminal>();

/** Wipes the bar, if there is one, so that what follows begins on a line of its own. */
export function wipe(terminal: Terminal): void {
  if (drawn.delete(terminal)) terminal.err.write("\r\u001b[2K");
}

/**
 * Progress of long work. On a terminal, one line with a bar, rate and time left, redrawn in place and fitted to the width.
 * Elsewhere, and where TERM is dumb, a plain line every ten seconds. Work of less than a second shows nothing.
 */
export class Progress {
  readonly #terminal: Terminal;
  readonly #title: string;
  readonly #noun: string;
  readonly #clock: () => number;
  readonly #began: number;
  #drawn = 0;

  constructor(
    terminal: Terminal,
    title: string,
    noun: string,
    clock: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal;
    this.#title = title;
    this.#noun = noun;
    this.#clock = clock;
    this.#began = clock();
    this.#drawn = this.#began;
  }

  /** @param fraction from 0 to 1; leave it out where the end is not known */
  update(done: number, fraction?: number): void {
    const now = this.#clock();
    const terminal = this.#redraws();
    if (now - this.#drawn < (terminal ? (drawn.has(this.#terminal) ? 100 : 1_000) : 10_000)) return;
    this.#drawn = now;
    const elapsed = now - this.#began;
    const rate = `${number((done / elapsed) * 1_000)}/s`;
    const left =
      fraction !== undefined && fraction > 0.001 ? (elapsed * (1 - fraction)) / fraction : undefined;
    if (!terminal) {
      const parts = fraction === undefined ? [] : [percentOf(fraction)];
      parts.push(plural(done, this.#noun), rate);
      if (left !== undefined) parts.push(`${span(left)} left`);
      this.#terminal.err.write(`${this.#title}: ${parts.join(", ")}\n`);
      return;
    }
    const line = this.#fitting(fraction, [
      plural(done, this.#noun),
      rate,
      ...(left === undefined ? [] : [`${span(left)} left`]),
    ]);
    this.#terminal.err.write(`\r\u001b[2K${this.#colored(line)}`);
    drawn.add(this.#terminal);
  }

  clear(): void {
    wipe(this.#terminal);
  }

  /** Whether a line can be written over: a terminal that is called dumb would print how that is done. */
  #redraws(): boolean {
    return this.#terminal.err.isTTY === true && this.#terminal.env["TERM"] !== "dumb";
  }

  /**
   * A line that fills the last column wraps on some terminals, and what has wrapped is not wiped. Two columns are for the
   * ^C that a terminal shows.
   */
  #columns(): number {
    return this.#terminal.err.columns || 80; // 0 where the terminal does not say
  }

  /**
   * The widest of these lines that fits: all parts with a bar that takes up the room there is; without the bar; then
   * without the count and the rate, so that percentage and time left stay longest.
   */
  #fitting(fraction: number | undefined, parts: readonly string[]): string {
    const room = this.#columns() - 3;
    const percent = fraction === undefined ? [] : [percentOf(fraction).padStart(4)];
    const lineOf = (some: readonly string[]) => `${this.#title} ${[...percent, ...some].join("  ")}`;
    const whole = lineOf(parts);
    const width = Math.min(24, room - whole.length - 1);
    if (fraction !== undefined && width >= 4) {
      return `${this.#title} ${bar(fraction, width)} ${whole.slice(this.#title.length + 1)}`;
    }
    const lines = [parts, parts.slice(1), parts.slice(2)].map(lineOf);
    return lines.find((line) => line.length <= room) ?? lines.at(-1)!.slice(0, Math.max(0, room));
  }

  #colored(line: string): string {
    const { err, env } = this.#terminal;
    return line
      .replace(/█+/, (full) => styled(err, env, "green", full))
      .replace(/░+/, (rest) => styled(err, env, "dim", rest));
  }
}

function percentOf(fraction: number): string {
  return `${Math.floor(fraction * 100)}%`;
}

function bar(fraction: number, width: number): string {
  const full = Math.min(width, Math.round(fraction * width));
  return "█".repeat(full) + "░".repeat(width - full);
}

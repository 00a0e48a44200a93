import { number, plural, span } from "./format.ts";
import { styled, type Terminal } from "./terminal.ts";

/** Terminals on whose last line a bar stands. */
const drawn = new WeakSet<Terminal>();

/** Wipes the bar, if there is one, so that what follows begins on a line of its own. */
export function wipe(terminal: Terminal): void {
  if (drawn.delete(terminal)) terminal.err.write("\r\u001b[2K");
}

/**
 * How long work goes: a bar that redraws itself with rate and time left on a terminal, cut to its width, and a plain
 * line every ten seconds elsewhere (as where TERM is dumb). Work of less than a second shows nothing.
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
    const parts = [`${plural(done, this.#noun)}`, `${number((done / elapsed) * 1_000)}/s`];
    if (fraction !== undefined && fraction > 0.001) {
      parts.push(`${span((elapsed * (1 - fraction)) / fraction)} left`);
    }
    const percent = fraction === undefined ? "" : `${String(Math.floor(fraction * 100)).padStart(3)}%  `;
    if (!terminal) {
      this.#terminal.err.write(`${this.#title}: ${percent.trim()}${percent && ", "}${parts.join(", ")}\n`);
      return;
    }
    const bar = fraction === undefined ? "" : `${this.#bar(fraction)} `;
    const line = `${this.#title} ${bar}${percent}${parts.join("  ")}`;
    this.#terminal.err.write(`\r\u001b[2K${this.#colored(line.slice(0, this.#columns() - 1))}`);
    drawn.add(this.#terminal);
  }

  clear(): void {
    wipe(this.#terminal);
  }

  /** Whether a line can be written over: a terminal that is called dumb would print how that is done. */
  #redraws(): boolean {
    return this.#terminal.err.isTTY === true && this.#terminal.env["TERM"] !== "dumb";
  }

  /** A line that fills the last column wraps on some terminals, and what has wrapped is not wiped. */
  #columns(): number {
    return this.#terminal.err.columns || 80; // 0 where the terminal does not say
  }

  #bar(fraction: number): string {
    const width = this.#columns() < 80 ? 10 : 24;
    const full = Math.min(width, Math.round(fraction * width));
    return "█".repeat(full) + "░".repeat(width - full);
  }

  #colored(line: string): string {
    const { err, env } = this.#terminal;
    return line
      .replace(/█+/, (full) => styled(err, env, "green", full))
      .replace(/░+/, (rest) => styled(err, env, "dim", rest));
  }
}

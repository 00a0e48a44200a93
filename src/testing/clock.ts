/** A clock that moves only when told: pass `clock.now` as the option `clock`. */
export interface FakeClock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Moves by this many milliseconds; backwards if negative. */
  advance(milliseconds: number): void;
  /** Jumps to a time. */
  set(time: number): void;
}

/** @param start the initial time. Default 2026-01-01T00:00:00Z */
export function fakeClock(start: number = Date.UTC(2026, 0, 1)): FakeClock {
  if (!Number.isFinite(start)) throw new TypeError("fakeClock: the start must be a number of milliseconds.");
  let time = start;
  return {
    now: () => time,
    advance(milliseconds) {
      time += milliseconds;
    },
    set(to) {
      time = to;
    },
  };
}

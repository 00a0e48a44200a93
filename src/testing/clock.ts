/** A clock that stands still until it is told to move: pass `clock.now` as the option `clock`. */
export interface FakeClock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Moves by so many milliseconds; backwards when negative. */
  advance(milliseconds: number): void;
  /** Jumps to a time. */
  set(time: number): void;
}

/** @param start where it stands at first; 2026-01-01T00:00:00Z unless given */
export function fakeClock(start: number = Date.UTC(2026, 0, 1)): FakeClock {
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

/** Long work whose progress is shown while it runs. */
export interface Progressing<Step, Result> extends AsyncIterable<Step> {
  /** Settles with the work. */
  readonly result: Promise<Result>;
}

/** Milliseconds between two steps that are shown. */
const EVERY = 500;

/** Runs `work`, and yields the latest step that it reported, twice a second at most, until it has ended. */
export function progressOf<Step, Result>(
  work: (onProgress: (step: Step) => void) => Promise<Result>,
): Progressing<Step, Result> {
  let latest: Step | undefined;
  let isDone = false;
  const result = work((step) => (latest = step));
  const ended = result.then(
    () => void (isDone = true),
    () => void (isDone = true),
  );
  return {
    result,
    async *[Symbol.asyncIterator]() {
      while (!isDone) {
        let timer: NodeJS.Timeout | undefined;
        await Promise.race([ended, new Promise((resolve) => (timer = setTimeout(resolve, EVERY)))]);
        clearTimeout(timer);
        if (!isDone && latest !== undefined) {
          yield latest;
          latest = undefined;
        }
      }
    },
  };
}

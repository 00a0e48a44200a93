/** In the place of vitest inside workerd: collects tests, and runs one by its number. */
type Body = () => Promise<void> | void;

export interface Collected {
  readonly name: string;
  run(): Promise<void>;
}

let group: { readonly tests: Collected[]; before: Body[]; after: Body[] } | null = null;

/** The tests that `register` registers. */
export function collect(register: () => void): readonly Collected[] {
  const tests: Collected[] = [];
  group = { tests, before: [], after: [] };
  register();
  group = null;
  return tests;
}

export function test(name: string, ...rest: readonly unknown[]): void {
  const body = rest.find((each) => typeof each === "function") as Body;
  const { tests, before, after } = group!;
  tests.push({
    name,
    async run() {
      for (const each of before) await each();
      try {
        await body();
      } finally {
        for (const each of after) await each();
      }
    },
  });
}

export function beforeEach(body: Body): void {
  group!.before.push(body);
}

export function afterEach(body: Body): void {
  group!.after.push(body);
}

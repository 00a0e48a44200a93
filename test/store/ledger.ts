/** What a writer that was killed had been told (`children/writing.ts`), against the rows that are there. */
export class Ledger {
  /** The least version that a row must have, or null for a row that must be gone. */
  readonly rows = new Map<string, number | null>();
  /** Pairs of which exactly one must be there. */
  readonly pairs: (readonly [string, string])[] = [];

  note(lines: readonly string[]): void {
    for (const line of lines) {
      const [word, first = "", second = ""] = line.split(" ");
      if (word === "kept") this.rows.set(first, Number(second));
      else if (word === "moving") this.pairs.push([first, second]);
      else this.rows.set(first, null);
      if (word === "moved") this.rows.set(second, 1);
    }
  }

  /** The ids of all rows that it says anything of. */
  get ids(): string[] {
    return [...new Set([...this.rows.keys(), ...this.pairs.flat()])];
  }

  /** What is wrong with the rows. */
  wrong(versionOf: (id: string) => number | undefined): string[] {
    const wrong: string[] = [];
    for (const [id, version] of this.rows) {
      const found = versionOf(id);
      const right = version === null ? found === undefined : found !== undefined && found >= version;
      if (!right) wrong.push(`${id} should be ${version ?? "gone"} and is ${found ?? "gone"}`);
    }
    for (const [old, next] of this.pairs) {
      if ((versionOf(old) === undefined) === (versionOf(next) === undefined))
        wrong.push(`${old} was replaced by half`);
    }
    return wrong;
  }
}

import { exitCodes, Failure } from "../failure.ts";
import { authLibraries } from "./auth-libraries.ts";
import { SourceTable } from "./read.ts";
import { ownOptions, type Library } from "./library.ts";
import { ndjsonLibrary } from "./ndjson.ts";
import { redisLibrary } from "./redis.ts";
import { sessionFilesLibrary } from "./session-files.ts";
import { sources } from "./sources.ts";
import type { ImportCommandOptions } from "./work.ts";

export const libraries: readonly Library[] = [
  redisLibrary,
  ...sources.map((source): Library => ({
    name: source.name,
    from: "database",
    takes: ["fromTable", "lifetime", "userPath"],
    open: ({ from, options, idleTimeout, cwd }) =>
      SourceTable.open({
        url: from,
        source,
        ...(options.fromTable !== undefined && { table: options.fromTable }),
        lifetime: options.lifetime ?? idleTimeout,
        cwd,
      }),
  })),
  ...authLibraries,
  sessionFilesLibrary,
  ndjsonLibrary,
];

/** @param others further names that can be imported */
export function libraryNamed(name: string, others: readonly string[]): Library {
  const library = libraries.find((one) => one.name === name);
  if (library !== undefined) return library;
  throw new Failure(
    `${JSON.stringify(name)} cannot be imported. Use one of ${[...libraries.map((one) => one.name), ...others].join(", ")}.`,
    exitCodes.usage,
  );
}

/** An option that its library ignores would promise what does not happen. */
export function assertTaken(library: Library, options: ImportCommandOptions): void {
  const wrong = ownOptions.find((name) => options[name] !== undefined && !library.takes.includes(name));
  if (wrong === undefined) return;
  throw new Failure(`${flagOf(wrong)} is not an option for ${library.name}.`, exitCodes.usage);
}

export function flagOf(option: string): string {
  return `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * The error for an object that is not an instance of this package's class. Often it belongs to a second copy of the
 * package in the same process: private fields are not shared between copies.
 * @param what the name of the expected class
 * @param instead what to pass
 */
export function notOurs(given: unknown, what: string, instead: string): TypeError {
  if (isOfAnotherCopy(given, what)) {
    return new TypeError(
      `This ${what} comes from another copy of stored-session: the process has loaded the package twice. Run "npm ls stored-session" and align the versions ("npm dedupe"); when bundling, either bundle stored-session everywhere or keep it external everywhere.`,
    );
  }
  return new TypeError(`Not a ${what}: pass ${instead}.`);
}

export function isOfAnotherCopy(given: unknown, what: string): boolean {
  if (typeof given !== "object" || given === null) return false;
  const { constructor } = given as { constructor?: unknown };
  return typeof constructor === "function" && constructor.name === what;
}

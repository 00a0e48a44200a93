/**
 * The error for an object that is not of this package's classes: often it is of another copy of them, since a class has
 * its own private fields in each copy that a process loads.
 * @param what the class that was expected
 * @param instead what to pass
 */
export function notOurs(given: unknown, what: string, instead: string): TypeError {
  if (isOfAnotherCopy(given, what)) {
    return new TypeError(
      `This ${what} is of another copy of stored-session than the code that was given it. A process needs one copy: run "npm ls stored-session" and make all versions the same ("npm dedupe"); in a bundle, keep stored-session either inside everywhere or external everywhere.`,
    );
  }
  return new TypeError(`This is no ${what}: pass ${instead}.`);
}

export function isOfAnotherCopy(given: unknown, what: string): boolean {
  if (typeof given !== "object" || given === null) return false;
  const { constructor } = given as { constructor?: unknown };
  return typeof constructor === "function" && constructor.name === what;
}

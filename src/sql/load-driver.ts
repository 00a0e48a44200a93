import { OptionsError } from "../errors.ts";
import { reasonOf } from "../shared/reason.ts";

/**
 * A client library that a store loads only when it opens a URL or path itself, so that none is a dependency of this
 * package. The store imports it by a literal name inside `try`: bundlers then include it if it is installed, and
 * otherwise omit it with at most a warning.
 */
export interface DriverPackage {
  /** What to install. */
  readonly name: string;
  /** Why it is needed: `postgresStore was given a URL`. */
  readonly why: string;
  /** What to do without it: `pass a pool`. */
  readonly otherwise: string;
}

/**
 * Returns the exports of a module, whether the bundler or Node put them on the namespace or under `default`.
 * @param classOf returns the class that the store uses; a bundler that omits a package may substitute an empty module
 */
export function exportsOf<Driver>(loaded: unknown, classOf: (driver: Driver) => unknown): Driver {
  const { default: exported = loaded } = loaded as { readonly default?: unknown };
  if (typeof classOf(exported as Driver) === "function") return exported as Driver;
  throw new TypeError("the module is empty or a different one; a bundler may have replaced it.");
}

/** The configuration error for a library that cannot be loaded. Not an outage: retrying does not help. */
export function driverProblem(cause: unknown, { name, why, otherwise }: DriverPackage): OptionsError {
  const said = reasonOf(cause);
  const error = new OptionsError([
    isMissing(cause, name)
      ? `${why} and needs the package "${name}". Run "npm install ${name}", or ${otherwise}. In a bundle, keep "${name}" external and install it next to the bundle.`
      : `${why} and needs the package "${name}", which is installed but cannot be loaded: ${said}`,
  ]);
  error.cause = cause;
  return error;
}

/**
 * Whether the error says that the package was not found, in the wording of Node (ESM, CommonJS), webpack and Turbopack
 * (a stub with Node's code), esbuild, Vite and Rolldown, or workerd.
 */
function isMissing(error: unknown, name: string): boolean {
  const { code, message = "" } = (error ?? {}) as { code?: unknown; message?: unknown };
  // Node lists the importing files below, and their paths may contain the name too.
  const [text = ""] = String(message).split("\n");
  const known =
    code === "ERR_MODULE_NOT_FOUND" ||
    code === "MODULE_NOT_FOUND" ||
    /Cannot find (?:module|package)|Could not resolve|Dynamic require of|No such module|Failed to resolve/.test(
      text,
    );
  return known && new RegExp(`(?:^|[^\\w@/-])${name}(?:$|[^\\w-])`).test(text);
}

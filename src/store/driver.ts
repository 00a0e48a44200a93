import { OptionsError } from "../errors.ts";

/**
 * The client library for a store that was given a URL. Only then is one needed, so none is a dependency of this
 * package; the specifier is a variable so that bundlers and type checkers do not ask for it.
 */
export async function loadDriver<Driver>(
  specifier: string,
  packageName: string,
  store: string,
): Promise<Driver> {
  try {
    const loaded = (await import(specifier)) as Driver & { readonly default?: Driver };
    return loaded.default ?? loaded;
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    const error = new OptionsError([
      `${store} was given a URL and needs the package "${packageName}". Run "npm install ${packageName}", or pass a pool.`,
    ]);
    error.cause = cause;
    throw error;
  }
}

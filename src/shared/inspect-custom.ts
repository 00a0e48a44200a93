/**
 * `util.inspect.custom`. Importing node:util by name loads everything that it exports lazily: a fifth of what the first import
 * of the core costs.
 */
export const inspectCustom: unique symbol = Symbol.for("nodejs.util.inspect.custom");

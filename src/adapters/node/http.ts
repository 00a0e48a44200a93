let loaded: typeof import("node:http") | undefined;

/** node:http, when it is first used. An import by name loads all that it exports lazily, such as WebSocket: 45 ms. */
export function http(): typeof import("node:http") {
  return (loaded ??= process.getBuiltinModule("node:http"));
}

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { withDeviceBinding } from "../../src/adapters/astro.ts";

const root = join(import.meta.dirname, "../..");

/** Builds an Astro application for production, without keys. Returns what it printed. */
export function buildAstro(dir: string): string {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const env: Record<string, string | undefined> = { ...process.env };
  for (const name of Object.keys(env)) if (/^(VITEST|STORED_SESSION|DATABASE)/.test(name)) delete env[name];
  const astro = join(root, "node_modules/astro");
  const { bin } = JSON.parse(readFileSync(join(astro, "package.json"), "utf8")) as { bin: { astro: string } };
  return execFileSync(process.execPath, [join(astro, bin.astro), "build"], {
    cwd: dir,
    env: { ...env, NODE_ENV: "production", ASTRO_TELEMETRY_DISABLED: "1" },
    stdio: "pipe",
    encoding: "utf8",
  });
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * Serves a built application in this process. Returns a function that starts a server of it.
 */
export async function serveAstro(
  dir: string,
): Promise<(before?: (response: ServerResponse) => void) => Server> {
  const { handler } = (await import(pathToFileURL(join(dir, "dist/server/entry.mjs")).href)) as {
    handler: Handler;
  };
  const handle = withDeviceBinding(handler);
  return (before) =>
    createServer((request, response) => {
      before?.(response);
      // Astro takes a POST without one for a form of another site. Browsers send none to the endpoint of device-bound sessions.
      if (request.url !== "/.well-known/stored-session")
        request.headers["content-type"] ??= "application/json";
      void handle(request, response);
    }).listen(0, "127.0.0.1");
}

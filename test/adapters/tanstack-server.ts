import { serve } from "@hono/node-server";
import { execFileSync } from "node:child_process";
import type { Server } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "../..");

/** Builds a TanStack Start application for production, without keys. */
export function buildTanStackStart(dir: string): void {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const env: Record<string, string | undefined> = { ...process.env };
  for (const name of Object.keys(env)) if (/^(VITEST|STORED_SESSION|DATABASE)/.test(name)) delete env[name];
  execFileSync(process.execPath, [join(root, "node_modules/vite/bin/vite.js"), "build"], {
    cwd: dir,
    env: { ...env, NODE_ENV: "production" },
    stdio: "pipe",
  });
}

/** Serves a built application in this process. Returns a function that starts a server of it. */
export async function serveTanStackStart(dir: string): Promise<() => Server> {
  const { default: entry } = (await import(pathToFileURL(join(dir, "dist/server/server.js")).href)) as {
    default: { fetch(request: Request): Promise<Response> };
  };
  return () =>
    serve({
      fetch: (request) => entry.fetch(request),
      port: 0,
      hostname: "127.0.0.1",
      overrideGlobalObjects: false,
    }) as Server;
}

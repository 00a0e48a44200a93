import { execFileSync } from "node:child_process";
import { createServer, type RequestListener, type Server } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { withDeviceBinding } from "../../src/adapters/sveltekit.ts";

const root = join(import.meta.dirname, "../..");

/** Builds a SvelteKit application for production, without keys. */
export function buildSvelteKit(dir: string): void {
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
export async function serveSvelteKit(dir: string): Promise<() => Server> {
  process.env["PROTOCOL_HEADER"] = "x-forwarded-proto";
  const { handler } = (await import(pathToFileURL(join(dir, "dist/node/handler.js")).href)) as {
    handler: RequestListener;
  };
  const handle = withDeviceBinding(handler);
  return () =>
    createServer((request, response) => {
      request.headers["x-forwarded-proto"] ??= "http";
      // SvelteKit takes a POST without one for a form of another site. Browsers send none to the endpoint of device-bound sessions.
      if (request.url !== "/.well-known/stored-session")
        request.headers["content-type"] ??= "application/json";
      handle(request, response);
    }).listen(0, "127.0.0.1");
}

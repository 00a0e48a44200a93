import { execFileSync } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** Builds a Next.js application for production. Returns what it printed. */
export function buildNext(
  dir: string,
  flags: readonly string[] = [],
  more: Record<string, string> = {},
): string {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
  const env: Record<string, string | undefined> = { ...process.env, ...more };
  for (const name of Object.keys(env)) if (/^(VITEST|STORED_SESSION)/.test(name)) delete env[name];
  Object.assign(env, { NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" });
  const next = join(root, "node_modules/next/dist/bin/next");
  return execFileSync(process.execPath, [next, "build", ...flags], { cwd: dir, env, encoding: "utf8" });
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;
interface NextServer {
  prepare(): Promise<void>;
  getRequestHandler(): Handler;
}

/** Serves a built application in this process. Returns a function that starts a server of it. */
export async function serveNext(
  dir: string,
): Promise<(before?: (response: ServerResponse) => void) => ReturnType<typeof createServer>> {
  const { default: next } = (await import("next" as string)) as unknown as {
    default: (options: object) => NextServer;
  };
  const app = next({ dev: false, dir, hostname: "127.0.0.1", port: 3000 });
  await app.prepare();
  const handler = app.getRequestHandler();
  return (before) =>
    createServer((request, response) => {
      before?.(response);
      void handler(request, response);
    }).listen(0, "127.0.0.1");
}

/** The form of an action as a browser without JavaScript sends it. */
export function formOf(html: string, id: string): FormData {
  const [, inside = ""] = new RegExp(`<form[^>]*id="${id}"[^>]*>(.*?)</form>`, "s").exec(html) ?? [];
  const form = new FormData();
  for (const [, name, value = ""] of inside.matchAll(
    /<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?/g,
  ))
    form.set(name!, value.replaceAll("&quot;", '"'));
  if ([...form].length === 0) throw new Error(`No form ${id} in:\n${html}`);
  return form;
}

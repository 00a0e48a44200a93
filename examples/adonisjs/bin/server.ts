import type { AddressInfo } from "node:net";
import { Ignitor } from "@adonisjs/core";
import { sessions } from "../config/session.ts";

const root = new URL("../", import.meta.url);
process.env["HOST"] ??= "localhost";
process.env["PORT"] ??= "3000";

const ignitor = new Ignitor(root, { importer: (path) => import(new URL(path, root).href) }).tap((app) => {
  app.terminating(() => sessions.close());
  app.listen("SIGTERM", () => app.terminate());
  app.listen("SIGINT", () => app.terminate());
});
await ignitor.httpServer().start();

const { default: server } = await import("@adonisjs/core/services/server");
const { port } = server.getNodeServer()!.address() as AddressInfo;
console.log(`Open http://localhost:${port}`);

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { RunningApp } from "../../src/testing/index.ts";

/** A started server as the adapter contract wants it. */
export async function running(server: Server): Promise<RunningApp> {
  if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Handle = (request: any, response: any) => Promise<void>;

/** An async handler for Express. Express 5 passes what it rejects with to `next`; Express 4 leaves that to the application. */
export function passingErrors(handle: Handle) {
  return (request: unknown, response: unknown, next: (error: unknown) => void): void =>
    void handle(request, response).catch((error: unknown) =>
      next(error ?? new Error("a rejection with nothing")),
    );
}

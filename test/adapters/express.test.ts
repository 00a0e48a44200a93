import express, { type ErrorRequestHandler } from "express";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { test } from "vitest";
import { session } from "../../src/adapters/express.ts";
import { memoryStore } from "../../src/store/memory.ts";
import { adapterContract, contractError, type ContractApp, type ContractSession } from "../../src/testing/index.ts";

async function start(contract: ContractApp) {
  const app = express();
  app.set("etag", false);
  app.use(session(contract.sessions));
  app.use(async (request, response) => {
    const answer = await contract.route(request.url, () => request.session as ContractSession);
    response.status(answer.status).set(answer.headers);
    if (answer.redirect !== undefined) response.redirect(answer.redirect);
    else if (answer.chunks !== undefined) Readable.from(answer.chunks).pipe(response);
    else if (answer.body === null) response.end();
    else response.send(answer.body);
  });
  const answerError: ErrorRequestHandler = (error, _request, response, _next) => {
    const { status, body } = contractError(error);
    response.status(status).send(body);
  };
  app.use(answerError);
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

adapterContract("express", { test, create: async () => memoryStore(), start });

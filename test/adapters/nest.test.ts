import "reflect-metadata";
import {
  All,
  Catch,
  Controller,
  Module,
  Req,
  Res,
  type ArgumentsHost,
  type MiddlewareConsumer,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import type { Response } from "express";
import type { FastifyReply } from "fastify";
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import type { Server } from "node:http";
import { Readable } from "node:stream";
import { test } from "vitest";
import { requireFresh, session } from "../../src/adapters/express.ts";
import { requireFresh as requireFreshOnFastify, storedSession } from "../../src/adapters/fastify.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import {
  contractError,
  contractFresh,
  contractHeaders,
  type ContractApp,
  type ContractSession,
} from "../../src/testing/index.ts";
import { WatchedStore } from "../../src/testing/watched-store.ts";
import { adapterOnEachDatabase } from "./on-databases.ts";

interface Visit {
  readonly url: string;
  readonly session: unknown;
}

type Handle = (request: Visit, response: never) => unknown;

/** A Nest controller with one handler for its paths. Decorators are called, since Node runs no decorator syntax. */
function controllerOf(paths: string[], handle: Handle): new () => object {
  class OneHandlerController {
    answer(request: Visit, response: never): unknown {
      return handle(request, response);
    }
  }
  const { prototype } = OneHandlerController;
  Controller()(OneHandlerController);
  All(paths)(prototype, "answer", Object.getOwnPropertyDescriptor(prototype, "answer")!);
  Req()(prototype, "answer", 0);
  Res()(prototype, "answer", 1);
  return OneHandlerController;
}

/** A Nest module whose last controller answers every path. `configure` mounts the module's middleware. */
function moduleOf(
  controllers: (new () => object)[],
  configure: (consumer: MiddlewareConsumer) => void = () => {},
): new () => object {
  class EverythingModule {
    configure(consumer: MiddlewareConsumer): void {
      configure(consumer);
    }
  }
  Module({ controllers })(EverythingModule);
  return EverythingModule;
}

/** The application's own error handling, in Nest's way. */
function filterOf(send: (response: never, answer: { status: number; body: string }) => void): object {
  class EverythingFilter {
    catch(error: unknown, host: ArgumentsHost): void {
      send(host.switchToHttp().getResponse<never>(), contractError(error));
    }
  }
  Catch()(EverythingFilter);
  return new EverythingFilter();
}

async function onExpress(contract: ContractApp) {
  const guarded = controllerOf(["fresh/*path"], (_request, response: Response) => response.send("passed"));
  const everything = controllerOf(["/", "*path"], async (request, response: Response) => {
    const answer = await contract.route(request.url, () => request.session as ContractSession);
    response.status(answer.status).set(answer.headers);
    if (answer.redirect !== undefined) response.redirect(answer.redirect);
    else if (answer.chunks !== undefined) Readable.from(answer.chunks).pipe(response);
    else if (answer.file !== undefined) response.sendFile(answer.file);
    else if (answer.raw === true) response.writeHead(answer.status).end(answer.body);
    else if (answer.body === null) response.end();
    else response.send(answer.body);
  });
  const module = moduleOf([guarded, everything], (consumer) => {
    consumer.apply(requireFresh(contractFresh.within, contractFresh.options)).forRoutes(guarded);
  });
  const app = await NestFactory.create<NestExpressApplication>(module, {
    logger: false,
    forceCloseConnections: true,
  });
  app.set("etag", false);
  app.use((_request: unknown, response: Response, next: () => void) => {
    response.set(contractHeaders);
    next();
  });
  app.use(session(contract.sessions));
  app.useGlobalFilters(
    filterOf((response: Response, { status, body }) => void response.status(status).send(body)) as never,
  );
  await app.listen(0, "127.0.0.1");
  const server = app.getHttpServer() as Server;
  return { url: await app.getUrl(), server, close: () => app.close() };
}

async function onFastify(contract: ContractApp) {
  const guarded = controllerOf(["fresh/*"], (_request, reply: FastifyReply) => reply.send("passed"));
  const everything = controllerOf(["*"], async (request, reply: FastifyReply) => {
    const answer = await contract.route(request.url, () => request.session as ContractSession);
    reply.code(answer.status).headers(answer.headers);
    if (answer.redirect !== undefined) await reply.redirect(answer.redirect);
    else if (answer.chunks !== undefined)
      await reply.send(Readable.from(answer.chunks, { objectMode: false }));
    else if (answer.file !== undefined) await reply.type("text").send(createReadStream(answer.file));
    else if (answer.raw === true) {
      reply.hijack();
      reply.raw.writeHead(answer.status, reply.getHeaders() as never).end(answer.body);
    } else await reply.send(answer.body ?? undefined);
  });
  const app = await NestFactory.create<NestFastifyApplication>(
    moduleOf([guarded, everything]),
    new FastifyAdapter({ forceCloseConnections: true }),
    {
      logger: false,
    },
  );
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook("onRequest", async (_request, reply) => void reply.headers(contractHeaders));
  await app.register(storedSession as never, { sessions: contract.sessions } as never);
  const fresh = requireFreshOnFastify(contractFresh.within, contractFresh.options);
  fastify.addHook("preHandler", async (request, reply) => {
    if (request.routeOptions.url?.startsWith("/fresh/")) await fresh(request, reply);
  });
  app.useGlobalFilters(
    filterOf((reply: FastifyReply, { status, body }) => {
      void reply.code(status).type("text/plain").send(body);
    }) as never,
  );
  await app.listen(0, "127.0.0.1");
  const server = app.getHttpServer() as Server;
  return { url: await app.getUrl(), server, close: () => app.close() };
}

adapterOnEachDatabase("nest on express", { start: onExpress, ways: ["file", "raw"] });
adapterOnEachDatabase("nest on fastify", { start: onFastify, ways: ["file", "raw"] });

test("Nest: the store is down, and no exception filter → 503 (promise 8)", async () => {
  const watched = new WatchedStore(memoryStore());
  const sessions = createSessionManager<{ n: number }>({ store: watched.store, keys: generateKey() });
  watched.down("all");
  const change = ({ session: visited }: Visit) => {
    (visited as ContractSession).data["n"] = 1;
  };
  const express = await NestFactory.create<NestExpressApplication>(
    moduleOf([
      controllerOf(["/", "*path"], (request, response: Response) => {
        change(request);
        response.send("never");
      }),
    ]),
    { logger: false },
  );
  express.use(session(sessions));
  const fastify = await NestFactory.create<NestFastifyApplication>(
    moduleOf([
      controllerOf(["*"], (request, reply: FastifyReply) => {
        change(request);
        void reply.send("never");
      }),
    ]),
    new FastifyAdapter(),
    { logger: false },
  );
  await fastify.register(storedSession as never, { sessions } as never);
  for (const app of [express, fastify]) {
    await app.listen(0, "127.0.0.1");
    const answer = await fetch(await app.getUrl());
    assert.equal(answer.status, 503);
    await app.close();
  }
});

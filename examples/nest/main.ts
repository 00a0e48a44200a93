import "reflect-metadata";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { session } from "stored-session/express";
import { storedSession } from "stored-session/fastify";
import { AppModule, sessions } from "./app.ts";

const app =
  process.env["PLATFORM"] === "fastify"
    ? await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: ["error"] })
    : await NestFactory.create<NestExpressApplication>(AppModule, { logger: ["error"] });

if (app.getHttpAdapter().getType() === "fastify") {
  await (app as NestFastifyApplication).register(storedSession as never, { sessions } as never);
} else {
  app.use(session(sessions));
}

await app.listen(Number(process.env["PORT"] ?? 3000), "localhost");
console.log(`Open ${await app.getUrl()}`);
process.once("SIGTERM", async () => {
  await app.close();
  await sessions.close();
});

// The module that docs/frameworks/nest.md imports as "./app.module.ts".
import { Module } from "@nestjs/common";

// oxlint-disable-next-line typescript/no-extraneous-class -- Nest asks for one
@Module({})
export class AppModule {}

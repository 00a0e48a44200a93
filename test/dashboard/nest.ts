import "reflect-metadata";
import { All, Controller, Module } from "@nestjs/common";

/**
 * The module of a NestJS application that answers "application" at these paths. Decorators are called, since Node runs no
 * decorator syntax.
 */
export function nestModule(paths: string[]): new () => object {
  class EverythingController {
    answer(): string {
      return "application";
    }
  }
  const { prototype } = EverythingController;
  Controller()(EverythingController);
  All(paths)(prototype, "answer", Object.getOwnPropertyDescriptor(prototype, "answer")!);
  // oxlint-disable-next-line typescript/no-extraneous-class -- Nest asks for one
  class EverythingModule {}
  Module({ controllers: [EverythingController] })(EverythingModule);
  return EverythingModule;
}

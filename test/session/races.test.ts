import { raceSuite } from "./race-suite.ts";
import { eachStoreAndBinding } from "./stores.ts";

eachStoreAndBinding((name, create, making) =>
  raceSuite(name, create, making.isBound ? 25 : undefined, {}, making),
);

import { raceSuite } from "./race-suite.ts";
import { eachStoreAndBinding } from "./stores.ts";

/** `npm run test:soak` runs 2,000. */
const rounds = process.env["TEST_ROUNDS"];

eachStoreAndBinding((name, create, making) =>
  raceSuite(
    name,
    create,
    making.isBound ? 25 : rounds === undefined ? undefined : Number(rounds),
    {},
    making,
  ),
);

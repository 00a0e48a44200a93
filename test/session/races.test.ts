import { raceSuite } from "./race-suite.ts";
import { eachStore } from "./stores.ts";

eachStore((name, create) => raceSuite(name, create));

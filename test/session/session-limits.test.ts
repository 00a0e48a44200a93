import { limitSuite } from "./limit-suite.ts";
import { eachStore } from "./stores.ts";

eachStore((_name, create) => limitSuite(create));

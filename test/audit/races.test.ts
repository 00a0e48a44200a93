/** The races of sessions, with every login, id change, logout and revocation in a transaction with its event. */
import { raceSuite } from "../session/race-suite.ts";
import { eachStore } from "../session/stores.ts";

eachStore((name, create) => raceSuite(name, create, name === "memory" ? 40 : 15, { audit: true }));

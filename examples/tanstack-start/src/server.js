import handler, { createServerEntry } from "@tanstack/react-start/server-entry";
import { sessions } from "./sessions.server.js";

export default createServerEntry({ fetch: sessions.fetch(handler.fetch) });

process.once("beforeExit", () => sessions.close());

import { sessions } from "./sessions.server.js";

export const handle = sessions.handle;

process.once("sveltekit:shutdown", () => sessions.close());

import handler, { createServerEntry } from "@tanstack/react-start/server-entry";
import { sessions } from "./sessions.server.js";

const fetch = sessions.fetch(handler.fetch);

export default createServerEntry({
  async fetch(request) {
    const response = await fetch(request);
    for (const [name, value] of Object.entries(globalThis.contractHeaders ?? {}))
      if (!response.headers.has(name)) response.headers.set(name, value);
    return response;
  },
});

import assert from "node:assert/strict";
import { contractHeaders, leakedHeaders } from "./adapter-routes.ts";
import type { Check } from "./adapter-world.ts";

/** The response to a failed commit has the headers from before the session middleware, and none of the handler's. */
export function failedHeaders(check: Check, ways: readonly ("file" | "raw")[]): void {
  for (const how of ["value", "redirect", "nothing", "stream", ...ways]) {
    check(
      `commit fails after a handler answered with ${how} → the 503 keeps earlier headers and drops those of the handler (promise 4)`,
      async ({ visitor, watched }) => {
        const someone = visitor();
        await someone.get("/set?key=tea&value=green");
        watched.down("writes");
        const { status, headers, setCookies } = await someone.get(`/leak?how=${how}`);
        assert.equal(status, 503);
        for (const [name, value] of Object.entries(contractHeaders))
          assert.equal(headers.get(name), value, name);
        for (const name of [...Object.keys(leakedHeaders), "trailer", "etag", "last-modified"]) {
          if (!(name in contractHeaders)) assert.equal(headers.get(name), null, name);
        }
        assert.deepEqual(setCookies, []);
        assert.equal(headers.get("cache-control"), "no-store");
        assert.equal(headers.get("vary"), "Cookie");
      },
      "headers",
    );
  }
}

/** The option `onClientChange` over HTTP: what each answer does to the session and to the response. */
import assert from "node:assert/strict";
import type { ClientAnswer } from "../session/client-answer.ts";
import type { Check } from "./adapter-world.ts";

const headers = (browser: string) => ({ headers: { "user-agent": browser } });
const [own, other] = ["Mozilla/5.0 Firefox/140.0", "curl/8.14"].map(headers);

export function clientChange(check: Check): void {
  for (const answer of ["allow", "elevate", "end"] as const) {
    const effects: Record<ClientAnswer, string> = {
      allow: "goes on, and stays fresh",
      elevate: "goes on, and is not fresh until the next proof",
      end: "ends, the request is anonymous, and the cookie is cleared",
    };
    const asked: (readonly (string | undefined)[])[] = [];
    check(
      `onClientChange answers "${answer}" → the session ${effects[answer]}`,
      async ({ visitor }) => {
        asked.length = 0;
        const someone = visitor();
        await someone.get("/login?user=42", own);
        assert.equal((await someone.get("/fresh/account", own)).body, "passed");
        assert.deepEqual(asked, [], "the same client");

        const copied = visitor(someone.cookie);
        const changed = await copied.get("/read", other);
        assert.equal(JSON.parse(changed.body).user, answer === "end" ? null : "42");
        assert.deepEqual(asked, [["Mozilla/5.0 Firefox/140.0", "curl/8.14", "42"]]);
        const isGuarded = (await copied.get("/fresh/account", other)).status === 401;
        assert.equal(isGuarded, answer !== "allow");
        if (answer === "end") {
          assert.equal(changed.setCookies.length, 1);
          assert.match(changed.setCookies[0]!, /^__Host-session=;.*Max-Age=0/);
          assert.equal((await someone.read()).user, null, "as for everybody");
        }
        if (answer === "elevate") {
          assert.equal((await someone.get("/fresh/account", own)).status, 401, "for everybody");
          assert.equal((await someone.get("/elevate?level=aal2", own)).body, "aal2");
          assert.equal((await someone.get("/fresh/account", own)).body, "passed");
        }
      },
      {
        trait: "elevation",
        onClientChange: (before, now, { user }) => {
          asked.push([before.userAgent, now.userAgent, user]);
          return answer;
        },
      },
    );
  }
}

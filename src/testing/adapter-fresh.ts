/** Step-up authentication over HTTP: the guard of an adapter, and what `elevate` does to the cookie. */
import assert from "node:assert/strict";
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import type { FreshOptions } from "../adapters/fresh.ts";
import type { Duration } from "../shared/duration.ts";
import type { Check, Visitor } from "./adapter-world.ts";

/** How the test application guards every path below `/fresh`: `requireFresh(contractFresh.within, contractFresh.options)`. */
export const contractFresh: { readonly within: Duration; readonly options: FreshOptions } = {
  within: "5 min",
  options: { redirectTo: "/confirm?tab=1" },
};

/** What a browser sends for a page view. `fetch` sends its own `Sec-Fetch-Mode`. */
const page = { accept: "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate" };

export function fresh(check: Check): void {
  check(
    "a guarded request without a fresh login → 401 with JSON, and the handler does not run (R58)",
    async ({ visitor, advance }) => {
      const someone = visitor();
      await isDenied(someone, "anonymous");
      await someone.get("/login?user=42");
      assert.equal((await someone.get("/fresh/account")).body, "passed");
      advance(5 * 60_000 + 1_000);
      await isDenied(someone, "five minutes later");
      assert.deepEqual((await someone.read()).user, "42", "and still logged in");
      assert.equal((await someone.get("/elevate?level=aal2")).body, "aal2");
      assert.equal((await someone.get("/fresh/account")).body, "passed");
    },
    "elevation",
  );

  check(
    "a guarded page → a redirect that names the page to return to, and never another site (R58)",
    async ({ url }) => {
      const goesTo = async (path: string, method = "GET", headers: OutgoingHttpHeaders = {}) => {
        const answer = await visit(url + path, method, { ...page, ...headers });
        assert.equal(answer.statusCode, 303, path);
        assert.match(answer.headers["cache-control"] ?? "", /no-store/);
        const location = new URL(answer.headers.location!, url);
        assert.equal(location.origin, url, "a path of this site");
        assert.equal(location.pathname + location.search.split("&")[0], "/confirm?tab=1");
        return location.searchParams.get("return_to");
      };
      assert.equal(await goesTo("/fresh/account?a=1&b=%2F%2F"), "/fresh/account?a=1&b=%2F%2F");
      const savedFrom = (referer: string) => goesTo("/fresh/save", "POST", { referer });
      assert.equal(await savedFrom(`${url}/account?tab=2`), "/account?tab=2");
      assert.equal(await savedFrom("https://evil.example/account"), null);
      assert.equal(await savedFrom(`${url}//evil.example`), null);
      const older = { "sec-fetch-mode": undefined };
      assert.equal(await goesTo("/fresh/account", "GET", older), "/fresh/account", "an older browser");
      const script = await visit(`${url}/fresh/account`, "GET", { accept: "application/json" });
      assert.equal(script.statusCode, 401);
    },
    "elevation",
  );

  check(
    "elevate → a new cookie, the old one is dead, and a parallel save sends none (R17, R41, R58)",
    async ({ visitor, gates }) => {
      const someone = visitor();
      await someone.get("/login?user=42");
      const thief = visitor(someone.cookie);
      const saving = visitor(someone.cookie).get("/hold?gate=elevating&key=late&value=1");
      await gates.reached("elevating");
      const { setCookies } = await someone.get("/elevate?level=aal2");
      assert.equal(setCookies.length, 1);
      gates.open("elevating");
      assert.deepEqual((await saving).setCookies, []);
      assert.deepEqual(await thief.read(), { user: null, isNew: true, data: {} });
      assert.deepEqual(await someone.read(), { user: "42", isNew: false, data: {} });
    },
    "elevation",
  );
}

async function isDenied(someone: Visitor, when: string): Promise<void> {
  const { status, headers, body } = await someone.get("/fresh/account");
  assert.equal(status, 401, when);
  assert.match(headers.get("content-type") ?? "", /^application\/json/);
  assert.match(headers.get("www-authenticate") ?? "", /insufficient_user_authentication/);
  assert.match(headers.get("cache-control") ?? "", /no-store/);
  assert.deepEqual(JSON.parse(body), { error: "insufficient_user_authentication", max_age: 300 });
}

function visit(url: string, method: string, given: OutgoingHttpHeaders): Promise<IncomingMessage> {
  const headers = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false }, (response) => {
      response.resume();
      resolve(response);
    });
    request.on("error", reject);
    request.end();
  });
}

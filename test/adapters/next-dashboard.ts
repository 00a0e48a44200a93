import assert from "node:assert/strict";
import { test } from "vitest";
import type { SessionManager } from "../../src/manager.ts";
import type { RunningApp } from "../../src/testing/index.ts";

const base = "/admin/sessions";

/** The dashboard as a route handler. `start` starts a server of test/adapters/next-app. */
export function nextDashboard(start: () => Promise<RunningApp>): void {
  const check = (
    name: string,
    body: (url: string, operator: Record<string, string>) => Promise<void>,
  ): void =>
    test(name, async () => {
      const { url, close } = await start();
      try {
        await body(url + base, { "x-operator": "ada" });
      } finally {
        await close();
      }
    });

  check(
    "dashboard in Next.js: a page, a form and a redirect → as the handler answers",
    async (url, headers) => {
      assert.equal((await fetch(url, { headers })).status, 200);
      const { sessionsOfDashboard: sessions } = globalThis as unknown as {
        sessionsOfDashboard: SessionManager;
      };
      const session = await sessions.load(null, { userAgent: "Phone" });
      session.login("alice");
      await sessions.commit(session);
      const page = await fetch(`${url}/user?id=alice`, { headers });
      assert.match(page.headers.get("content-security-policy")!, /^default-src 'none'; /);
      assert.equal(page.headers.get("cache-control"), "no-store");
      const text = await page.text();
      assert.match(text, /1 live session/);
      const cookie = page.headers.getSetCookie()[0]!.split(";")[0]!;
      const send = (origin: string) =>
        fetch(`${url}/user`, {
          method: "POST",
          redirect: "manual",
          headers: { ...headers, cookie, origin },
          body: new URLSearchParams({
            token: /name="token" value="([^"]+)"/.exec(text)![1]!,
            id: "alice",
            action: "all",
            reason: "why & how=1",
          }),
        });
      assert.equal((await send("http://evil.example")).status, 403);
      const ended = await send(new URL(url).origin);
      assert.equal(ended.status, 303);
      assert.equal(ended.headers.get("location"), `${base}/user?id=alice&ended=1`);
      assert.deepEqual(await sessions.forUser("alice").list(), []);
      const overview = await (await fetch(`${url}/?period=hour`, { headers })).text();
      assert.match(overview, /<svg class="wide"/);
    },
  );

  check(
    "R52: dashboard in Next.js: no operator, HEAD, OPTIONS and other methods → nothing is shown or changed",
    async (url, headers) => {
      for (const path of ["", "/user?id=alice", "/audit", "/keys", "/live"])
        assert.equal((await fetch(url + path)).status, 403, path);
      const head = await fetch(url, { method: "HEAD", headers });
      assert.deepEqual([head.status, await head.text()], [200, ""]);
      for (const method of ["OPTIONS", "PUT", "DELETE", "PATCH"]) {
        const answer = await fetch(`${url}/user`, { method, headers });
        assert.ok(answer.status === 405 || method === "OPTIONS", method);
        assert.equal(answer.headers.get("access-control-allow-origin"), null);
        assert.equal(await answer.text(), "");
      }
    },
  );
}

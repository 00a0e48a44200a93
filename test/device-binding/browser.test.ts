import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { test } from "vitest";
import { withSession } from "../../src/adapters/node/node-response.ts";
import { createSessionManager, generateKey, memoryStore } from "../../src/index.ts";
import { until } from "../../src/testing/adapter-world.ts";
import { certificate, host, openProfile, otherHost } from "./chromium.ts";
import { deviceCookie, sessionCookie } from "./world.ts";

interface Seen {
  readonly url: string;
  /** Why the browser did not refresh the device cookie, if it says so. */
  readonly skipped: string | undefined;
  readonly hasDevice: boolean;
}

/** A server with a login, and what it was asked. */
async function serve() {
  const tls = certificate();
  let ahead = 0;
  const options = {
    store: memoryStore(),
    keys: generateKey(),
    clock: () => Date.now() + ahead,
    deviceBinding: { mode: "offer" },
  } as const;
  const sessions = createSessionManager(options);
  const seen: Seen[] = [];
  const listen = (manager: typeof sessions) =>
    withSession(manager, (request, response, session) => {
      response.setHeader("content-type", "text/html");
      if (request.url === "/login") session.login("42");
      if (request.url === "/logout") session.destroy();
      if (request.headers.host?.startsWith(otherHost))
        return response.end(`<a href="https://${host}:${port}/me">to the shop</a>`);
      return response.end(`${session.user ?? "nobody"}, ${session.deviceBound ? "bound" : "not bound"}`);
    });
  let app = listen(sessions);
  const server = createServer(tls, (request, response) => {
    const { cookie, "secure-session-skipped": skipped } = request.headers;
    seen.push({
      url: request.url!,
      skipped: skipped as string | undefined,
      hasDevice: cookie?.includes(deviceCookie) ?? false,
    });
    app(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    tls,
    seen,
    sessions,
    url: `https://${host}:${port}`,
    otherUrl: `https://${otherHost}:${port}`,
    advance: (milliseconds: number) => void (ahead += milliseconds),
    /** Another process takes over: it has only the keys and the database. */
    restart: () => void (app = listen(createSessionManager(options))),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await sessions.close();
    },
  };
}

const folder = () => mkdtempSync(join(tmpdir(), "stored-session-profile-"));

/**
 * The browser drops its device cookie, because it has expired. Chromium signs a few times in ten minutes and then refreshes
 * no more, so a cookie that lives for seconds is no way to test this.
 */
async function expire(browser: BrowserContext, url: string): Promise<void> {
  const cookie = (await browser.cookies(url)).find(({ name }) => name === deviceCookie)!;
  await browser.addCookies([{ ...cookie, expires: Date.now() / 1_000 + 1 }]);
  await until(async () => !(await browser.cookies(url)).some(({ name }) => name === deviceCookie));
}

/** What the page says. */
async function open(page: Page, url: string): Promise<string> {
  await page.goto(url);
  return page.innerText("body");
}

// Starts a browser three times, so it takes longer than other tests.
test("Chromium: login, use, refresh, restart, logout → bound; the stolen cookie in another profile opens nothing (R60)", async () => {
  await using server = await serve();
  const { url, seen, sessions, tls } = server;
  const [ownProfile, otherProfile] = [folder(), folder()];
  let owner: BrowserContext | undefined;
  let thief: BrowserContext | undefined;
  try {
    owner = await openProfile(ownProfile, tls);
    let page = await owner.newPage();
    assert.equal(await open(page, `${url}/login`), "42, not bound");
    await until(async () => (await sessions.forUser("42").list())[0]!.deviceBound);
    await until(async () => (await owner!.cookies(url)).length === 2);
    assert.equal(await open(page, `${url}/me`), "42, bound");

    server.advance(11_000); // past the time in which requests count that were under way
    seen.length = 0;
    await expire(owner, url);
    assert.equal(await open(page, `${url}/me`), "42, bound");
    assert.deepEqual(
      seen.filter(({ url: path }) => path === "/me").map(({ hasDevice }) => hasDevice),
      [true],
      "the page waited for the refresh",
    );
    assert.ok(seen.some(({ url: path }) => path === "/.well-known/stored-session"));

    await expire(owner, url);
    const answers = await page.evaluate(async () => {
      const get = async () => (await fetch("/me")).text();
      return Promise.all([get(), get(), get(), get()]);
    });
    assert.deepEqual(answers, Array(4).fill("42, bound"), "parallel requests wait for one refresh");

    await expire(owner, url);
    await page.goto(server.otherUrl);
    await page.click("a");
    await page.getByText("42, bound").waitFor({ timeout: 10_000 }); // the page loads itself again
    assert.equal(page.url(), `${url}/me`, "a link on another site");
    assert.deepEqual(new Set(seen.map(({ skipped }) => skipped)), new Set([undefined]));

    thief = await openProfile(otherProfile, tls);
    await thief.addCookies((await owner.cookies(url)).filter(({ name }) => name === sessionCookie));
    assert.equal(await open(await thief.newPage(), `${url}/me`), "nobody, not bound");
    assert.equal((await thief.cookies(url)).length, 1, "and its cookie is as it was");

    await owner.close();
    server.advance(86_400_000);
    server.restart();
    owner = await openProfile(ownProfile, tls);
    page = await owner.newPage();
    await owner.clearCookies({ name: deviceCookie });
    assert.equal(
      await open(page, `${url}/me`),
      "42, bound",
      "a day later, browser and server were restarted",
    );
    const later = await thief.newPage();
    assert.equal(await open(later, `${url}/me`), "nobody, not bound", "a day later, too");

    await page.goto(`${url}/logout`);
    assert.equal(await open(page, `${url}/me`), "nobody, not bound");
    assert.deepEqual(await owner.cookies(url), []);
    seen.length = 0;
    assert.equal(await open(page, `${url}/me`), "nobody, not bound");
    assert.ok(!seen.some(({ url: path }) => path.startsWith("/.well-known")), "the binding has ended");
    assert.deepEqual(await sessions.forUser("42").list(), []);
  } finally {
    await Promise.all([owner?.close(), thief?.close()]);
    for (const profile of [ownProfile, otherProfile]) rmSync(profile, { recursive: true, force: true });
  }
}, 120_000);

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "vitest";
import { Visitor, type Answer } from "../../src/testing/adapter-world.ts";
import { launchChromium } from "../demo/chromium.ts";
import type { RunningExample } from "./example-process.ts";

export type Deed = "login" | "add" | "logout" | "logout-everywhere";

export interface WalkOptions {
  /** Sends the form of a deed, as the browser of a visitor. Default: urlencoded to `/login` and so on. */
  readonly submit?: (visitor: Visitor, deed: Deed, fields: Record<string, string>) => Promise<Answer>;
  /** Path and body of the request that adds an item. Default: urlencoded to `/add`. */
  readonly addPath?: string;
  /** What a page answers while the store is down. Default 503. */
  readonly down?: number;
}

const form = (url: string, fields: Record<string, string>): RequestInit => ({
  method: "POST",
  body: new URLSearchParams(fields),
  headers: { origin: url },
});

/**
 * Registers a walk through an example that was built for production and runs. Its page greets, "Hello ada.", shows the cart,
 * "In your cart: tea, mate.", and a flash message, "Welcome back.", and has forms to log in, add, log out and log out
 * everywhere.
 */
export function walkThrough(name: string, running: () => RunningExample, options: WalkOptions = {}): void {
  const { addPath = "/add", down = 503 } = options;
  const submit =
    options.submit ??
    ((visitor: Visitor, deed: Deed, fields: Record<string, string>) =>
      visitor.get(`/${deed}`, form(running().url, fields)));
  const home = async (visitor: Visitor) => (await visitor.get("/")).body.replaceAll("<!-- -->", "");
  const loggedIn = async () => {
    const visitor = new Visitor(running().url);
    await visitor.get("/");
    await submit(visitor, "login", { user: "ada" });
    return visitor;
  };

  test(`${name}: login → redirect with a new id, and a flash message that is shown once (promise 4, R17)`, async () => {
    const visitor = new Visitor(running().url);
    await visitor.get("/");
    assert.ok([200, 302, 303].includes((await submit(visitor, "add", { item: "tea" })).status));
    const before = visitor.cookie;
    assert.notEqual(before, "");
    const answer = await submit(visitor, "login", { user: "ada" });
    assert.ok([302, 303].includes(answer.status), answer.body);
    assert.equal(new URL(answer.headers.get("location")!, running().url).pathname, "/");
    assert.notEqual(visitor.cookie, before);
    const greeted = await home(visitor);
    assert.match(greeted, /Hello ada\./);
    assert.match(greeted, /In your cart: tea\./);
    assert.match(greeted, /Welcome back/);
    assert.doesNotMatch(await home(visitor), /Welcome back/);
    assert.match(await home(new Visitor(running().url, before)), /Hello nobody\./);
  });

  test(`${name}: five parallel requests add to the cart → five items (promise 2)`, async () => {
    const visitor = await loggedIn();
    const items = ["a", "b", "c", "d", "e"];
    await Promise.all(
      items.map((item) => submit(new Visitor(running().url, visitor.cookie), "add", { item })),
    );
    const [, cart = ""] = /In your cart: ([^.]*)\./.exec(await home(visitor)) ?? [];
    assert.deepEqual(cart.split(", ").toSorted(), items);
  });

  test(`${name}: logout → the cookie is cleared, and the old one opens nothing (R13)`, async () => {
    const visitor = await loggedIn();
    const { cookie } = visitor;
    assert.ok([302, 303].includes((await submit(visitor, "logout", {})).status));
    assert.match(await home(new Visitor(running().url, cookie)), /Hello nobody\./);
    assert.match(await home(visitor), /Hello nobody\./);
  });

  test(`${name}: logout everywhere → the other device is logged out too (promise 3)`, async () => {
    const [one, other] = [await loggedIn(), await loggedIn()];
    assert.match(await home(other), /Hello ada\./);
    assert.ok([302, 303].includes((await submit(one, "logout-everywhere", {})).status));
    assert.match(await home(other), /Hello nobody\./);
  });

  test(`${name}: the store is down → an error and no anonymous page; visitors without a cookie are served (promise 8)`, async () => {
    const visitor = await loggedIn();
    const { cookie } = visitor;
    const database = new DatabaseSync(running().database);
    database.exec("ALTER TABLE stored_sessions RENAME TO hidden");
    try {
      const answer = await visitor.get("/");
      assert.equal(answer.status, down, answer.body);
      assert.doesNotMatch(answer.body, /Hello nobody/);
      assert.deepEqual(answer.setCookies, []);
      assert.equal(visitor.cookie, cookie);
    } finally {
      database.exec("ALTER TABLE hidden RENAME TO stored_sessions");
      database.close();
    }
    assert.match(await home(visitor), /Hello ada\./);
  });

  test(
    `${name}: the client disconnects → what its request changed is saved`,
    { timeout: 60_000 },
    async () => {
      const visitor = await loggedIn();
      const { url } = running();
      const addAndLeave = () =>
        new Promise<void>((resolve) => {
          const request = httpRequest(url + addPath, {
            method: "POST",
            headers: {
              cookie: visitor.cookie,
              origin: url,
              "content-type": "application/x-www-form-urlencoded",
              "content-length": 8,
            },
          });
          request.on("error", () => {});
          request.end("item=tea", () => setImmediate(() => request.destroy()));
          request.once("close", () => resolve());
        });
      // On a busy machine the connection may be reset before the server has read the request: then nothing was asked of it.
      for (let attempt = 0; attempt < 5 && !(await isSaved()); attempt++) {
        await addAndLeave();
        for (let look = 0; look < 40 && !(await isSaved()); look++) await pause(100);
      }
      assert.ok(await isSaved());

      async function isSaved(): Promise<boolean> {
        return /In your cart: tea/.test(await home(visitor));
      }
    },
  );

  test(`${name}: in Chromium → login, cart, flash and logout work`, { timeout: 60_000 }, async () => {
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      await page.goto(running().url);
      await page.getByText("Hello nobody.").waitFor();
      await page.getByRole("button", { name: "Log in as Ada" }).click();
      await page.getByText("Hello ada.").waitFor();
      await page.getByText("Welcome back.").waitFor();
      await page.getByRole("button", { name: "Add tea" }).click();
      await page.getByText("In your cart: tea.").waitFor();
      await page.reload();
      await page.getByText("In your cart: tea.").waitFor();
      assert.equal(await page.getByText("Welcome back.").count(), 0);
      await page.getByRole("button", { name: "Log out everywhere" }).click();
      await page.getByText("Hello nobody.").waitFor();
    } finally {
      await browser.close();
    }
  });
}

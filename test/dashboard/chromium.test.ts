import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toNode } from "../../src/dashboard/index.ts";
import { migrate } from "../../src/store/migrate.ts";
import { launchChromium } from "../demo/chromium.ts";
import { databases } from "../servers/databases.ts";
import { base, world, type World } from "./world.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser: Browser;

beforeAll(async () => {
  browser = await launchChromium();
}, 600_000);

afterAll(() => browser?.close());

/** One SQLite and one server are enough for a browser. */
const chosen = databases.filter(({ name }, index) => name === "sqlite" || (name === "postgres" && index > 0));

const looks = [
  { scheme: "light", width: 1280 },
  { scheme: "dark", width: 1280 },
  { scheme: "light", width: 390 },
  { scheme: "dark", width: 390 },
] as const;

/** Actions are walked through in two of them, and each is seen with both databases. */
const walked = [
  { scheme: "dark", width: 390 },
  { scheme: "light", width: 1280 },
] as const;

interface Look {
  readonly scheme: "light" | "dark";
  readonly width: number;
}

async function pageOf({ scheme, width }: Look): Promise<Page & { errors: string[] }> {
  const page = await browser.newPage({ colorScheme: scheme, viewport: { width, height: 900 } });
  const errors: string[] = [];
  page.on("console", (message) => {
    // Answers with a status of 400 and more are logged as errors, too.
    const { url } = message.location();
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text()))
      errors.push(`${url} ${message.text()}`);
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  return Object.assign(page, { errors });
}

async function expectNoScrolling(page: Page, where: string): Promise<void> {
  const scrolls = await page.evaluate(
    "document.documentElement.scrollWidth > document.documentElement.clientWidth",
  );
  expect(scrolls, where).toBe(false);
}

async function expectAccessible(page: Page, where: string): Promise<void> {
  await expectNoScrolling(page, where);
  await page.evaluate(axe);
  const { violations } = (await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")) as {
    violations: { id: string; nodes: { html: string }[] }[];
  };
  expect(
    violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`),
    where,
  ).toEqual([]);
}

describe.each(chosen)("dashboard in Chromium on $name", (database) => {
  test(
    "every page, light and dark, wide and narrow → no violation of axe-core, no sideways scrolling, nothing blocked",
    { timeout: 300_000 },
    async () => {
      await using place = await open(database);
      const { it, url } = place;
      const handle = await it.login("alice");
      await it.login("a".repeat(200), { address: "2001:db8:".padEnd(39, "f"), userAgent: "x".repeat(512) });
      for (let at = 0; at < 52; at++)
        await it.sessions.audit.record("login.failed", { identifier: `name-${at}`.repeat(20) });
      const paths = [
        "/",
        "/?period=hour",
        "/?period=month",
        "/user",
        "/user?id=alice",
        "/user?id=nobody",
        `/user?id=${"a".repeat(200)}`,
        `/session?handle=${handle}`,
        `/session?handle=${"A".repeat(43)}`,
        "/audit",
        "/audit?type=logout",
        "/audit?since=x",
        "/keys",
        "/nothing",
      ];
      for (const look of looks) {
        const page = await pageOf(look);
        // What axe-core looks at does not depend on the database, and takes most of the time.
        const check = database.name === "sqlite" ? expectAccessible : expectNoScrolling;
        for (const path of paths) {
          await page.goto(url + path);
          await check(page, `${path} ${look.scheme} ${look.width}`);
        }
        expect(page.errors).toEqual([]);
        await page.close();
      }
    },
  );

  test.each(walked)(
    "R53: a walk by an operator, $scheme at $width pixels → every action works, its page is accessible; the policy blocks nothing",
    { timeout: 180_000 },
    async (look) => {
      await using place = await open(database);
      const { it, url } = place;
      for (let at = 0; at < 60; at++)
        await it.sessions.audit.record("login.failed", { identifier: `n${at}` });
      const devices = ["Phone", "Laptop", "Tablet"];
      const first = await it.login("alice", { address: "203.0.113.1", userAgent: devices[0]! });
      for (const userAgent of devices.slice(1)) await it.login("alice", { userAgent });
      const page = await pageOf(look);
      const see = (name: string | RegExp) => page.getByRole("heading", { name }).first().waitFor();
      const accessible = (where: string) => expectAccessible(page, `${where} ${look.scheme} ${look.width}`);
      await page.goto(url);
      await see("Overview");
      for (const name of ["Last hour", "Last 30 days", "Last 24 hours"])
        await page.getByRole("link", { name }).click();
      await page.getByText("Numbers").first().click();
      await page.getByRole("region", { name: "Stored sessions, as numbers" }).waitFor();
      await accessible("an opened table of numbers");

      await page.getByRole("link", { name: "Users" }).click();
      await page.getByLabel("Exact user id").fill("alice");
      await page.getByRole("button", { name: "Show sessions" }).click();
      await see("3 live sessions");
      const row = (device: string) => page.getByRole("row", { name: new RegExp(device) });
      await row("Phone").getByText("End", { exact: true }).click();
      await accessible("opened forms of a session");
      await endWith(row("Phone"), "End this session", "lost phone");
      await page.getByText("End requested.").waitFor();
      await see("2 live sessions");
      await row("Laptop").getByText("End", { exact: true }).click();
      await endWith(row("Laptop"), "End all others", "only the laptop is left");
      await see("1 live session");
      await row("Laptop").waitFor();

      await page.getByRole("link", { name: "Details" }).click();
      await page.getByLabel("Reason, for the audit trail").last().fill("ticket 7");
      await page.getByRole("button", { name: "Reveal" }).click();
      await page.getByText("You see personal data").waitFor();
      await accessible("revealed data");
      await page.getByRole("link", { name: "Back to the session" }).click();
      await page.getByText("End this session").first().click();
      await endWith(page.locator("main"), "End this session", "sold the laptop");
      await page.getByText("No session is stored under this handle").waitFor();

      await it.login("alice");
      await page.goto(`${url}/user?id=alice`);
      await page.getByText("End all sessions of this user").click();
      await endWith(
        page.locator("section").filter({ hasText: "1 live session" }),
        "End all sessions",
        "left the company",
      );
      await page.getByText("This user is not signed in anywhere").waitFor();
      await page.goto(`${url}/session?handle=${first}`);
      await page.getByText("lost phone").waitFor();

      await page.getByRole("link", { name: "Audit" }).click();
      await page.getByRole("link", { name: "Older" }).click();
      await page.getByRole("link", { name: "Newest" }).click();
      await page.getByLabel("Type").selectOption("session.revoked");
      await page.getByRole("button", { name: "Show" }).click();
      await expect.poll(() => page.getByRole("row").count()).toBe(5);
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Download" }).click(),
      ]);
      expect(
        readFileSync((await download.path())!, "utf8")
          .trim()
          .split("\n"),
      ).toHaveLength(4);
      await page.getByRole("button", { name: "Verify the trail" }).click();
      await page.getByText("Nothing was changed.").waitFor();
      await see("Result");
      await accessible("the result of a verification");
      await page.getByRole("link", { name: "Back to the audit trail" }).click();

      await it.login("bob");
      await page.getByRole("link", { name: "Keys and jobs" }).click();
      await page.getByRole("button", { name: "Count every session" }).click();
      await see("Sessions by key");
      await page.getByRole("link", { name: "Back to keys and jobs" }).click();
      await page.locator("summary", { hasText: "End the sessions of all users" }).click();
      await page.getByLabel("Reason, for the audit trail").fill("a key leaked");
      await page.getByLabel(/to confirm/).fill("end all sessions");
      await accessible("the form that ends everything");
      await page.getByRole("button", { name: "End the sessions of all users" }).click();
      await page.getByText("1 session ended.").waitFor();
      await accessible("the end of everything");
      await page.getByRole("main").getByRole("link", { name: "Overview" }).click();
      await see("Overview");
      expect(await it.sessions.count()).toBe(0);
      expect(page.errors).toEqual([]);
      await page.close();
    },
  );

  test(
    "without JavaScript → the same walk to the end of a session works; with it, figures renew themselves",
    { timeout: 120_000 },
    async () => {
      await using place = await open(database);
      const { it, url } = place;
      await it.login("alice");
      const plain = await browser.newContext({ javaScriptEnabled: false });
      const page = await plain.newPage();
      await page.goto(`${url}/user?id=alice`);
      await page.getByText("End all sessions of this user").click();
      await endWith(page.locator("section").filter({ hasText: "1 live session" }), "End all sessions", "why");
      await page.getByText("This user is not signed in anywhere").waitFor();
      await plain.close();

      const live = await browser.newPage();
      await live.clock.install();
      await live.goto(url);
      expect(await live.locator(".tile b").first().textContent()).toBe("0");
      await live.evaluate("document.querySelector('#live details').open = true");
      await it.login("bob");
      await live.clock.runFor(11_000);
      await live.locator(".tile b", { hasText: /^1$/ }).first().waitFor();
      await live.getByText(/^Updated/).waitFor();
      expect(await live.evaluate("document.querySelector('#live details').open")).toBe(true);
      await live.close();
    },
  );

  test("clickjacking: a page in a frame of another site → is not shown", { timeout: 120_000 }, async () => {
    await using place = await open(database);
    const outside = await serve(
      createServer((_, response) => {
        response.setHeader("content-type", "text/html");
        response.end(`<iframe src="${place.url}"></iframe>`);
      }),
    );
    const page = await browser.newPage();
    await page.goto(outside.url);
    await expect.poll(() => page.frames().length).toBe(2);
    expect(await page.frames()[1]!.getByText("Overview").count()).toBe(0);
    await page.close();
    await outside.close();
  });
});

async function endWith(place: ReturnType<Page["locator"]>, button: string, reason: string): Promise<void> {
  const form = place
    .locator("form")
    .filter({ has: place.page().getByRole("button", { name: button, exact: true }) });
  await form.getByLabel("Reason, for the audit trail").fill(reason);
  await form.getByRole("button", { name: button, exact: true }).click();
}

async function open(
  database: (typeof databases)[number],
): Promise<{ it: World; url: string } & AsyncDisposable> {
  const created = await database.createStore();
  await migrate(created.store);
  const it = world({ store: created.store });
  const served = await serve(createServer(toNode(it.handler)));
  return {
    it,
    url: served.url + base,
    async [Symbol.asyncDispose]() {
      await served.close();
      await it.sessions.close();
      await created.drop();
    },
  };
}

async function serve(server: Server): Promise<{ url: string; close(): Promise<void> }> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

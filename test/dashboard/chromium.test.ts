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

describe.each(chosen)("dashboard in Chromium on $name", (database) => {
  test(
    "every page, light and dark, wide and narrow → no violation of axe-core, no sideways scrolling, nothing blocked",
    { timeout: 300_000 },
    async () => {
      await using place = await open(database);
      const { it, url } = place;
      const handle = await it.login("alice");
      const paths = [
        "/",
        "/?period=month",
        "/user",
        "/user?id=alice",
        "/user?id=nobody",
        `/session?handle=${handle}`,
        "/audit",
        "/keys",
        "/nothing",
      ];
      for (const { scheme, width } of looks) {
        const context = await browser.newContext({
          colorScheme: scheme,
          viewport: { width, height: 900 },
          bypassCSP: true,
        });
        const page = await context.newPage();
        const errors: string[] = [];
        page.on("console", (message) => {
          if (message.type() === "error" && !message.text().includes("404")) errors.push(message.text());
        });
        page.on("pageerror", (error) => errors.push(String(error)));
        for (const path of paths) {
          await page.goto(url + path);
          const where = `${path} ${scheme} ${width}`;
          const scrolls = await page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth",
          );
          expect(scrolls, where).toBe(false);
          await page.evaluate(axe);
          const { violations } = (await page.evaluate(
            "axe.run(document, { resultTypes: ['violations'] })",
          )) as {
            violations: { id: string; nodes: { html: string }[] }[];
          };
          expect(
            violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`),
            where,
          ).toEqual([]);
        }
        expect(errors).toEqual([]);
        await context.close();
      }
    },
  );

  test(
    "R53: a walk by an operator → finds a user, ends sessions, reveals, verifies and exports; the policy blocks nothing",
    { timeout: 120_000 },
    async () => {
      await using place = await open(database);
      const { it, url } = place;
      const first = await it.login("alice", { address: "203.0.113.1", userAgent: "Phone" });
      await it.login("alice", { address: "203.0.113.2", userAgent: "Laptop" });
      const page = await browser.newPage();
      const blocked: string[] = [];
      page.on("console", (message) => message.type() === "error" && blocked.push(message.text()));
      await page.goto(url);
      await page.getByRole("heading", { name: "Overview" }).waitFor();
      await page.getByRole("link", { name: "Last hour" }).click();
      await page.getByRole("link", { name: "Users" }).click();
      await page.getByLabel("Exact user id").fill("alice");
      await page.getByRole("button", { name: "Show sessions" }).click();
      await page.getByRole("heading", { name: "2 live sessions" }).waitFor();

      await page.getByRole("row", { name: /Phone/ }).getByText("End", { exact: true }).click();
      await endWith(page.getByRole("row", { name: /Phone/ }), "End this session", "lost phone");
      await page.getByText("End requested.").waitFor();
      await page.getByRole("heading", { name: "1 live session" }).waitFor();

      await page.getByRole("link", { name: "Details" }).click();
      await page.getByLabel("Reason, for the audit trail").last().fill("ticket 7");
      await page.getByRole("button", { name: "Reveal" }).click();
      await page.getByText("You see personal data").waitFor();
      await page.getByRole("link", { name: "alice" }).click();

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
      await page.getByLabel("Type").selectOption("session.revoked");
      await page.getByRole("button", { name: "Show" }).click();
      expect(await page.getByRole("row").count()).toBe(3);
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Download" }).click(),
      ]);
      expect(
        readFileSync((await download.path())!, "utf8")
          .trim()
          .split("\n"),
      ).toHaveLength(2);
      await page.getByRole("button", { name: "Verify the trail" }).click();
      await page.getByText("Nothing was changed.").waitFor();

      await page.goto(`${url}/keys`);
      await page.getByRole("button", { name: "Count every session" }).click();
      await page.getByRole("heading", { name: "Sessions by key" }).waitFor();
      expect(blocked).toEqual([]);
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
      await it.login("bob");
      await live.clock.runFor(11_000);
      await live.locator(".tile b", { hasText: /^1$/ }).first().waitFor();
      await live.getByText(/^Updated/).waitFor();
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

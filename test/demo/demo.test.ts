import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { request } from "node:http";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, test } from "vitest";
import { launchChromium } from "./chromium.ts";
import { root, startDemo, type Demo } from "./process.ts";

// As a stranger starts it. This builds the package: no other suite may need `dist` meanwhile.
let demo: Demo;
let browser: Browser;

beforeAll(async () => {
  browser = await launchChromium();
  demo = await startDemo("npm", ["run", "demo"], 0);
}, 600_000);

afterAll(async () => {
  await browser?.close();
  await demo?.stop("SIGTERM");
});

test("demo: start → prints its address and keys, restricts the keys to its user, and prints no warning", async () => {
  assert.match(demo.printed(), /Open +http:\/\/localhost:\d+/);
  assert.match(demo.printed(), /Keys +examples\/express\/demo\.keys/);
  assert.doesNotMatch(demo.printed(), /warning/i);
  assert.equal(statSync(`${root}examples/express/demo.keys`).mode & 0o777, 0o600);
  const key = readFileSync(`${root}examples/express/demo.keys`, "utf8").trim();
  assert.ok(key.startsWith("ssk1_") && !demo.printed().includes(key));
});

test("demo: a walk with two devices → promises 1, 3 and 6, R13, R17 hold", { timeout: 120_000 }, async () => {
  const one = await openDevice();
  const two = await openDevice();
  const { page } = one;

  // A first visit leaves nothing behind.
  await page.goto(demo.url);
  await page.getByText("You have no session yet").waitFor();
  assert.deepEqual(await one.jar(), []);

  // A basket, and a message that is there once.
  await page.getByRole("button", { name: "Add Sencha" }).click();
  await page.getByRole("status").getByText("Sencha Uji is in your basket").waitFor();
  assert.equal(statSync(demo.file).mode & 0o777, 0o600);
  await page.reload();
  assert.equal(await page.getByRole("status").count(), 0);
  await page.getByRole("button", { name: "Add Dong Ding" }).click();
  await page.getByRole("button", { name: "Add Dong Ding" }).click();
  const before = await basketOf(page);
  assert.deepEqual(before.lines, ["Sencha Uji 1 ×", "Dong Ding Oolong 2 ×"]);
  assert.equal(before.times.length, 2);
  const [anonymous] = await one.jar();
  // Not Secure, and so without the prefix: Safari keeps no other cookie from http://localhost.
  assert.equal(anonymous?.name, "session");
  assert.deepEqual(
    [anonymous.secure, anonymous.httpOnly, anonymous.sameSite, anonymous.path],
    [false, true, "Lax", "/"],
  );

  // Logging in: another id, the same Map of the same Dates. The name is text, whatever is in it.
  await logIn(page, "Ada <b>Lovelace</b>");
  await page.getByRole("status").getByText("Welcome, Ada <b>Lovelace</b>").waitFor();
  const [loggedIn] = await one.jar();
  assert.notEqual(loggedIn?.value, anonymous.value);
  assert.deepEqual(await basketOf(page), before);

  // The row, beside what the server sees.
  await page.goto(`${demo.url}/database`);
  const shown = (await page.getByLabel("Column id").locator(".stored code").innerText()).replaceAll(
    /\s/g,
    "",
  );
  assert.equal(shown, rowIdOf(loggedIn!.value));
  const stored = page.getByLabel("Column data").locator(".stored code");
  const seen = page.getByLabel("Column data").locator(".seen pre");
  assert.match(await seen.innerText(), /Map\(2\) \{\s+'sencha' => \{\s+quantity: 1,\s+addedAt: 20\d\d-/);
  const hex = (await stored.innerText()).replaceAll(/\s/g, "");
  assert.match(hex, /^0100[0-9a-f]{200,}$/);
  // None so short that it lies in what is encrypted by chance.
  for (const secret of ["Lovelace", "sencha", "oolong", "127.0.0.1", loggedIn!.value]) {
    assert.ok(!bytesOfDatabase().includes(secret), `${secret} lies in the database in clear`);
  }

  // The second device signs the first one out: its next request is a stranger's.
  await two.page.goto(demo.url);
  await logIn(two.page, "Ada <b>Lovelace</b>");
  await two.page.goto(`${demo.url}/devices`);
  assert.equal(await two.page.locator(".device").count(), 2);
  await two.page.getByRole("button", { name: /^Sign out Chrome/ }).click();
  await two.page.getByRole("status").getByText("That device is signed out").waitFor();
  assert.equal(await two.page.locator(".device").count(), 1);
  await page.goto(demo.url);
  await page.getByText("You have no session yet").waitFor();
  await page.getByRole("link", { name: "Log in" }).waitFor();
  assert.deepEqual((await basketOf(page)).lines, []);

  // Back again, it signs all the others out.
  await logIn(page, "Ada <b>Lovelace</b>");
  await page.goto(`${demo.url}/devices`);
  await page.getByRole("button", { name: "Sign out the other one" }).click();
  await page.getByRole("status").getByText("Signed out one device").waitFor();
  await two.page.goto(`${demo.url}/devices`);
  await two.page.getByText("Log in to see where else").waitFor();

  // Logging out empties the jar, and the old cookie opens nothing.
  const [last] = await one.jar();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("link", { name: "Log in" }).waitFor();
  assert.deepEqual(await one.jar(), []);
  const replayed = await fetch(demo.url, { headers: { cookie: `${last!.name}=${last!.value}` } });
  assert.match(await replayed.text(), /You have no session yet/);
  assert.equal(replayed.headers.get("set-cookie"), null);

  assert.deepEqual([...one.complaints, ...two.complaints], []);
  await one.context.close();
  await two.context.close();
});

test(
  "demo: what your operators see → the visitor's session in the dashboard, which can end it",
  { timeout: 120_000 },
  async () => {
    const one = await openDevice();
    const { page } = one;
    await page.goto(demo.url);
    await logIn(page, "Grace");
    await page.getByRole("link", { name: "What your operators see" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.getByRole("link", { name: "Users" }).click();
    await page.getByLabel("Exact user id").fill("Grace");
    await page.getByRole("button", { name: "Show sessions" }).click();
    await page.getByRole("heading", { name: "1 live session" }).waitFor();
    await page.getByText("End all sessions of this user").click();
    const form = page.locator("form").filter({ has: page.getByRole("button", { name: "End all sessions" }) });
    await form.getByLabel("Reason, for the audit trail").fill("lost laptop");
    await form.getByRole("button", { name: "End all sessions" }).click();
    await page.getByText("This user is not signed in anywhere").waitFor();
    await page.goto(demo.url);
    await page.getByRole("link", { name: "Log in" }).waitFor();
    assert.deepEqual(one.complaints, []);
    await one.context.close();
  },
);

test("demo: a website that points its own name at this machine (DNS rebinding) → sees nothing of the dashboard", async () => {
  const status = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      request(`${demo.url}/operators`, { headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on("error", reject)
        .end();
    });
  assert.equal(await status(new URL(demo.url).host), 200);
  assert.equal(await status("evil.example"), 403);
});

test(
  "demo: --traffic → a week of fictional traffic, readable in light and dark, wide and narrow",
  { timeout: 120_000 },
  async () => {
    const busy = await startDemo("node", ["examples/express/server.ts", "--traffic"], 0);
    try {
      for (const colorScheme of ["light", "dark"] as const) {
        for (const width of [1280, 390]) {
          const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
          await page.goto(busy.url);
          assert.equal(await scrollsSideways(page), false);
          do await page.goto(`${busy.url}/operators?period=month`);
          while ((await page.getByText("still being counted").count()) > 0);
          assert.equal(await scrollsSideways(page), false);
          const logins = await page
            .locator(".tile", { hasText: /^\s*Logins/ })
            .locator("b")
            .innerText();
          assert.ok(Number(logins) > 500, logins);
          await page.goto(`${busy.url}/operators/user?id=ada`);
          await page.getByRole("heading", { name: /^\d+ live sessions$/ }).waitFor();
          assert.equal((await page.getByText("aal1").count()) > 0, true);
          assert.equal(await scrollsSideways(page), false);
          await page.close();
        }
      }
      // Addresses of RFC 5737, which belong to nobody.
      const page = await browser.newPage();
      await page.goto(`${busy.url}/operators/audit`);
      const addresses = (await page.locator("main").innerText()).match(/\d+\.\d+\.\d+\.\d+/g) ?? [];
      assert.ok(addresses.length > 0 && addresses.every((one) => /^(203\.0\.113|198\.51\.100)\./.test(one)));
      await page.close();
    } finally {
      await busy.stop("SIGTERM");
    }
  },
);

test("demo: a form that another origin sends → refused", async () => {
  const answer = await fetch(`${demo.url}/basket/add`, {
    method: "POST",
    headers: { "sec-fetch-site": "same-site" },
    body: new URLSearchParams({ sku: "sencha" }),
  });
  assert.equal(answer.status, 403);
  assert.equal(answer.headers.get("set-cookie"), null);
});

test("demo: a second one → takes the next free port and its own file; SIGTERM → exit code 0", async () => {
  const port = Number(new URL(demo.url).port);
  const second = await startDemo("node", ["examples/express/server.ts"], port);
  assert.ok(Number(new URL(second.url).port) > port);
  assert.notEqual(second.file, demo.file);
  assert.equal((await fetch(second.url)).status, 200);
  assert.equal(await second.stop("SIGTERM"), 0);
  assert.match(second.printed(), /Stopped\.\s*$/);
});

test("demo: Ctrl+C → `npm run demo` ends cleanly", async () => {
  assert.equal((await fetch(demo.url)).status, 200);
  await demo.stop("SIGINT");
  assert.match(demo.printed(), /Stopping …\s+Stopped\.\s*$/);
  await assert.rejects(fetch(demo.url));
});

interface Device {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the browser wrote into its console, or refused. */
  readonly complaints: string[];
  jar(): ReturnType<BrowserContext["cookies"]>;
}

async function openDevice(): Promise<Device> {
  const context = await browser.newContext();
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    // The walk types faster than the browser moves the focus to the first field.
    if (!message.text().startsWith("Autofocus processing was blocked")) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  return { context, page, complaints, jar: () => context.cookies() };
}

function scrollsSideways(page: Page): Promise<boolean> {
  return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth");
}

async function logIn(page: Page, name: string): Promise<void> {
  await page.getByRole("link", { name: "Log in" }).click();
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("button", { name: "Log out" }).waitFor();
}

async function basketOf(page: Page): Promise<{ lines: string[]; times: (string | null)[] }> {
  const lines: string[] = [];
  const times: (string | null)[] = [];
  for (const line of await page.locator(".lines li").all()) {
    const name = await line.locator("strong").innerText();
    const quantity = await line.locator(".soft").first().innerText();
    lines.push(`${name} ${quantity.slice(0, quantity.indexOf("×") + 1)}`);
    times.push(await line.locator("time").getAttribute("datetime"));
  }
  return { lines, times };
}

/** SHA-256 of the label and the 32 bytes that the cookie carries after its version byte, in hex. */
function rowIdOf(token: string): string {
  const sid = Buffer.from(token, "base64url").subarray(1, 33);
  return createHash("sha256").update("stored-session/v1/id\0").update(sid).digest("hex");
}

function bytesOfDatabase(): Buffer {
  const files = [demo.file, `${demo.file}-wal`].filter((file) => existsSync(file));
  return Buffer.concat(files.map((file) => readFileSync(file)));
}

/**
 * Takes the pictures of the dashboard in docs/images, from a week of fictional traffic, in a real Chromium:
 * `npx node scripts/dashboard-screenshots.ts`. Needs a Chromium: CHROMIUM names one, /usr/bin/chromium is the default.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createSessionManager, generateKey, memoryStore } from "../src/index.ts";
import { dashboard, toNode } from "../src/dashboard/index.ts";
import { launchChromium } from "../test/demo/chromium.ts";
import { weekOfTraffic } from "./dashboard-traffic.ts";

const clock = { now: Date.UTC(2026, 10, 30, 15, 42) };
const sessions = createSessionManager({
  store: memoryStore(),
  keys: [generateKey(), generateKey()],
  audit: true,
  idleTimeout: "2 d",
  absoluteTimeout: "14 d",
  clock: () => clock.now,
});
await weekOfTraffic(sessions, clock);

const base = "/admin/sessions";
const handler = dashboard({
  sessions,
  basePath: base,
  authorize: () => ({ actor: "ops@example.org", may: ["view", "audit", "revoke", "reveal", "export"] }),
});
const server = createServer(toNode(handler)).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${base}`;

const pictures = [
  { name: "dashboard-overview", path: "/", scheme: "light", height: 900 },
  { name: "dashboard-user", path: "/user?id=ada", scheme: "light", height: 900 },
  { name: "dashboard-audit", path: "/audit", scheme: "dark", height: 760 },
] as const;

try {
  await using browser = await launchChromium();
  for (const { name, path, scheme, height } of pictures) {
    const page = await browser.newPage({ viewport: { width: 1280, height }, colorScheme: scheme });
    do await page.goto(url + path);
    while ((await page.getByText("still being counted").count()) > 0);
    await page.screenshot({ path: join(import.meta.dirname, "../docs/images", `${name}.png`) });
  }
} finally {
  server.close();
  server.closeAllConnections();
  await sessions.close();
}

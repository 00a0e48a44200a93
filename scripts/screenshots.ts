/**
 * Takes the pictures in docs/images from the running demo, with its week of fictional traffic, in a real Chromium:
 * `npx node scripts/screenshots.ts`. Needs a Chromium: CHROMIUM names one, /usr/bin/chromium is the default.
 */
import { join } from "node:path";
import { launchChromium } from "../test/demo/chromium.ts";
import { root, startDemo } from "../test/demo/process.ts";

const pictures = [
  { name: "dashboard-overview", path: "/operators", colorScheme: "light", height: 900 },
  { name: "dashboard-user", path: "/operators/user?id=ada", colorScheme: "light", height: 900 },
  { name: "dashboard-audit", path: "/operators/audit", colorScheme: "dark", height: 760 },
] as const;

const fileOf = (name: string): string => join(root, "docs/images", `${name}.png`);

const demo = await startDemo("npm", ["run", "demo", "--", "--traffic"], 0);
try {
  await using browser = await launchChromium();
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1 });
  await page.goto(demo.url);
  await page.getByRole("button", { name: "Add Sencha" }).click();
  await page.getByRole("button", { name: "Add Dong Ding" }).click();
  await page.goto(`${demo.url}/login`);
  await page.getByLabel(/name/i).fill("Ada Lovelace");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("status").waitFor();
  await page.goto(`${demo.url}/database`);
  const last = await page.getByLabel("Column user_ref").boundingBox();
  await page.screenshot({
    path: fileOf("demo-database"),
    clip: { x: 0, y: 0, width: 1280, height: Math.round(last!.y + last!.height) },
    fullPage: true,
  });
  for (const { name, path, colorScheme, height } of pictures) {
    const shown = await browser.newPage({ viewport: { width: 1280, height }, colorScheme });
    do await shown.goto(demo.url + path);
    while ((await shown.getByText("still being counted").count()) > 0);
    await shown.screenshot({ path: fileOf(name) });
  }
} finally {
  await demo.stop("SIGTERM");
}
